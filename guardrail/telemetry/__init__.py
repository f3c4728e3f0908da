"""OpenTelemetry: the names, the measurements, and the trace context that goes with a call.

Through the API alone: nothing happens unless the host has configured an SDK. Here is what every part of guardrail may
use; the spans of a call and its steps are `guardrail.spans`, those of HTTP requests `guardrail.service.traced`, and the
command line configures an SDK in `guardrail.cli.exporting`. docs/telemetry.md has the tables.

Neither arguments nor results, neither messages nor reasons ever go into a span or a measurement: ids, names that the
owner has given, words of closed sets, and numbers do.
"""
