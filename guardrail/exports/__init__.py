"""Exports: what a ledger has recorded, in the forms that other tools read.

`exporting.export` reads records piece by piece, shows each of them (`shown`), and writes what a form makes of it:
rows of tables (`tables`, `parquet`), decision log events of OPA (`opa`), OCSF events (`ocsf`), OpenTelemetry spans
(`spans`). A form is a function of one record: it reads nothing and writes nothing. What was sealed stays out unless
it is asked for.
"""
