{{/*
Grace periods. A pod that is killed takes its builds along, so they follow from how long it may take a build to end.
*/}}

{{/* shutdownDelay, drainTimeout and half a minute. A drain without limit gets a week: Kubernetes knows no "for ever". */}}
{{- define "buildkitd-stack.autoscaler.gracePeriod" -}}
{{- if kindIs "invalid" .Values.autoscaler.terminationGracePeriodSeconds -}}
{{- $drain := include "buildkitd-stack.seconds" (.Values.autoscaler.autoscalerConfig.drainTimeout | default "1h") | int64 -}}
{{- $delay := include "buildkitd-stack.seconds" (.Values.autoscaler.autoscalerConfig.shutdownDelay | default "5s") | int64 -}}
{{- add (ternary 604800 $drain (eq $drain 0)) $delay 30 -}}
{{- else -}}
{{- .Values.autoscaler.terminationGracePeriodSeconds | int64 -}}
{{- end -}}
{{- end -}}

{{/* drain.timeout, and half a minute for buildkitd itself. */}}
{{- define "buildkitd-stack.buildkitd.gracePeriod" -}}
{{- if kindIs "invalid" .Values.buildkitd.terminationGracePeriodSeconds -}}
{{- add (ternary (include "buildkitd-stack.seconds" .Values.buildkitd.drain.timeout | int64) 0 .Values.buildkitd.drain.enabled) 30 -}}
{{- else -}}
{{- .Values.buildkitd.terminationGracePeriodSeconds | int64 -}}
{{- end -}}
{{- end -}}
