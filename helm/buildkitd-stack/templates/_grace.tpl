{{/*
Grace periods. A pod that is killed takes its builds along, so they follow from how long it may take a build to end.
*/}}

{{/* shutdownDelay and drainTimeout, in seconds. A drain without limit gets a week: Kubernetes knows no "for ever". */}}
{{- define "buildkitd-stack.autoscaler.drain" -}}
{{- $drain := include "buildkitd-stack.seconds" (.Values.autoscaler.autoscalerConfig.drainTimeout | default "1h") | int64 -}}
{{- $delay := include "buildkitd-stack.seconds" (.Values.autoscaler.autoscalerConfig.shutdownDelay | default "5s") | int64 -}}
{{- add (ternary 604800 $drain (eq $drain 0)) $delay -}}
{{- end -}}

{{/* That, and half a minute. */}}
{{- define "buildkitd-stack.autoscaler.gracePeriod" -}}
{{- if kindIs "invalid" .Values.autoscaler.terminationGracePeriodSeconds -}}
{{- add (include "buildkitd-stack.autoscaler.drain" .) 30 -}}
{{- else -}}
{{- .Values.autoscaler.terminationGracePeriodSeconds | int64 -}}
{{- end -}}
{{- end -}}

{{/* drain.timeout in seconds, where there is a drain. */}}
{{- define "buildkitd-stack.buildkitd.drain" -}}
{{- ternary (include "buildkitd-stack.seconds" .Values.buildkitd.drain.timeout | int64) 0 .Values.buildkitd.drain.enabled -}}
{{- end -}}

{{/* That, and half a minute for buildkitd itself. */}}
{{- define "buildkitd-stack.buildkitd.gracePeriod" -}}
{{- if kindIs "invalid" .Values.buildkitd.terminationGracePeriodSeconds -}}
{{- add (include "buildkitd-stack.buildkitd.drain" .) 30 -}}
{{- else -}}
{{- .Values.buildkitd.terminationGracePeriodSeconds | int64 -}}
{{- end -}}
{{- end -}}
