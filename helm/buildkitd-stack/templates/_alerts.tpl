{{/*
The alerts, for the targets that the ServiceMonitor or PodMonitor of this release makes. docs/operations.md has them for those without the
chart; a test compares the two.
*/}}
{{- define "buildkitd-stack.alerts" -}}
{{- $namespace := include "buildkitd-stack.autoscaler.namespace" . -}}
{{- $name := include "buildkitd-stack.autoscaler.fullname" . -}}
{{- /* The Prometheus operator names jobs after the Service, or after the PodMonitor with its namespace. */ -}}
{{- $job := printf "%s-metrics" $name -}}
{{- if .Values.autoscaler.metrics.podMonitor.enabled }}{{ $job = printf "%s/%s" (.Values.autoscaler.metrics.podMonitor.namespace | default $namespace) $name }}{{ end -}}
{{- $of := printf "namespace=%q,job=%q" $namespace $job -}}
{{- $several := gt (len (fromYamlArray (include "buildkitd-stack.target.statefulSets" .))) 1 -}}
{{- $config := .Values.autoscaler.autoscalerConfig -}}
{{- $idle := include "buildkitd-stack.seconds" ($config.scaleDownIdleTimeout | default "2m0s") | int64 -}}
{{- range .Values.pools -}}
{{- with (. | default dict).idleTimeout }}{{ $idle = max $idle (include "buildkitd-stack.seconds" . | int64) }}{{ end -}}
{{- end }}
{{- /* Half of what clients wait for, but below the histogram's last bucket, over which no quantile gets. */ -}}
{{- $slow := div (include "buildkitd-stack.seconds" ($config.readyWaitTimeout | default "5m0s") | int64) 2 | min 599 | max 1 }}
- alert: BuildkitdAutoscalerDown
  expr: absent(up{ {{- $of -}} } == 1)
  for: 5m
  labels: { severity: critical }
  annotations:
    summary: No proxy in front of buildkitd can be scraped
    description: Clients of {{ include "buildkitd-stack.address" . }} probably cannot connect.
- alert: BuildkitdClientsTimedOut
  expr: sum(increase(buildkitd_autoscaler_sessions_ended_total{outcome=~"timed_out|queue_timeout", {{- $of -}} }[15m])) > 0
  labels: { severity: warning }
  annotations:
    summary: Clients gave up, since no builder came in time
    description: Look at the {{ ternary "pods of the StatefulSets" "pod of StatefulSet" $several }} {{ fromYamlArray (include "buildkitd-stack.target.statefulSets" .) | join ", " }} in namespace {{ include "buildkitd-stack.target.namespace" . }}.
- alert: BuildkitdClientsRefused
  expr: sum(increase(buildkitd_autoscaler_sessions_ended_total{outcome="limited", {{- $of -}} }[15m])) > 0
  labels: { severity: warning }
  annotations:
    summary: Clients are turned away at a limit
    description: More clients connect or wait than maxConnections or maxHeld allow.
- alert: BuildkitdBroke
  expr: sum(increase(buildkitd_autoscaler_sessions_ended_total{outcome="upstream_reset", {{- $of -}} }[15m])) > 0
  labels: { severity: warning }
  annotations:
    summary: Builds ended since buildkitd broke
    description: Look for an end of the container by memory, and at its log before the restart.
- alert: BuildkitdAutoscalerFailed
  expr: sum(increase(buildkitd_autoscaler_sessions_ended_total{outcome="failed", {{- $of -}} }[15m])) > 0
  labels: { severity: warning }
  annotations:
    summary: The autoscaler ended a session by a fault of its own
    description: That is a bug. Its log has a record of level error.
{{- if not $several }}
- alert: BuildkitdIdle
  expr: max(buildkitd_autoscaler_replicas_observed{ {{- $of -}} }) > {{ .Values.autoscaler.autoscalerConfig.minReplicas | int64 }} and sum(buildkitd_autoscaler_sessions_open{ {{- $of -}} }) == 0
  for: {{ add (div (add $idle 59) 60) 15 | max 30 }}m
  labels: { severity: warning }
  annotations:
    summary: A builder costs money, and nobody builds
    description: The log of the autoscaler says what keeps it.
{{- else }}
{{- /* A minimum or a warm window keeps builders that nobody uses on purpose. */}}
{{- if not (include "buildkitd-stack.keepsBuilders" .) }}
- alert: BuildkitdIdle
  expr: max by (builder) (buildkitd_autoscaler_replicas_observed{ {{- $of -}} }) > 0 and on (builder) sum by (builder) (buildkitd_autoscaler_builder_sessions{ {{- $of -}} }) == 0
  for: {{ add (div (add $idle 59) 60) 15 | max 30 }}m
  labels: { severity: warning }
  annotations:
    summary: A builder costs money, and nobody builds there
    description: The log of the autoscaler says what keeps it.
{{- end }}
- alert: BuildkitdBuilderUnusable
  expr: max by (builder, state) (buildkitd_autoscaler_builder_state{state=~"missing|stuck",builder!~"{{ .Values.buildkitd.cordoned | default list | join "|" }}", {{- $of -}} }) == 1
  for: 15m
  labels: { severity: warning }
  annotations:
    summary: A builder is missing or does not start
    description: Clients use the other builders. The log of the autoscaler and /healthz?verbose say why.
- alert: BuildkitdClientsQueue
  expr: sum(buildkitd_autoscaler_sessions_queued{ {{- $of -}} }) > 0
  for: 15m
  labels: { severity: info }
  annotations:
    summary: Clients queue all the time
    description: All builders of a pool are full. More builders, or a higher maxSessionsPerReplica, shorten the queue.
{{- end }}
- alert: BuildkitdScalingStuck
  expr: (buildkitd_autoscaler_replicas_desired{ {{- $of -}} } != buildkitd_autoscaler_replicas_observed{ {{- $of -}} }) and ignoring(builder) buildkitd_autoscaler_leader{ {{- $of -}} } == 1
  for: 10m
  labels: { severity: warning }
  annotations:
    summary: The number of builders is not the one that is wanted
    description: The log of the autoscaler has the failed write, or what a scale-down waits for.
- alert: BuildkitdAutoscalerApiErrors
  expr: sum(rate(buildkitd_autoscaler_api_errors_total{code!="409", {{- $of -}} }[10m])) > 0.1
  for: 10m
  labels: { severity: warning }
  annotations:
    summary: Requests to the Kubernetes API fail
    description: Warm builders go on to serve; cold starts and scaling down wait.
- alert: BuildkitdAutoscalerAcceptErrors
  expr: sum(increase(buildkitd_autoscaler_accept_errors_total{cause!="client", {{- $of -}} }[10m])) > 0
  labels: { severity: warning }
  annotations:
    summary: Connections cannot be accepted
    description: File descriptors or memory run out.
- alert: BuildkitdColdStartSlow
  expr: histogram_quantile(0.95, sum by (le) (rate(buildkitd_autoscaler_cold_start_seconds_bucket{phase="ready", {{- $of -}} }[1h]))) > {{ $slow }}
  for: 10m
  labels: { severity: info }
  annotations:
    summary: Builders take more than {{ $slow }} s to start
    description: See where the time goes by the label phase; nodes and images that have to come are the usual cause.
{{- end -}}

{{/* "true" if a minimum or a warm window is set; else empty. */}}
{{- define "buildkitd-stack.keepsBuilders" -}}
{{- $keeps := false -}}
{{- range prepend (values (.Values.pools | default dict)) .Values.autoscaler.autoscalerConfig -}}
{{- with . }}{{ if or .warm (gt (int .minReplicas) 0) }}{{ $keeps = true }}{{ end }}{{ end -}}
{{- end -}}
{{- ternary "true" "" $keeps -}}
{{- end -}}
