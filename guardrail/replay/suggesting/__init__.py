"""Suggesting: from what people approve again and again, the narrowest rule that would have spared them the question.

    requests → evidence → rule → Rego → what-if

Nothing here changes what decides: a proposal is text, with what it would have come to on all of the history beside it.
"""
