{{/* Made by `deno task generate` from the table of alerts. */}}
{{- define "buildkitd-stack.alertRules" -}}
- alert: BuildkitdAutoscalerDown
  expr: >-
    absent(up{ {{- .targets -}} } == 1)
  for: 5m
  labels:
    severity: >-
      critical
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      No proxy in front of buildkitd can be scraped
    description: >-
      Clients of {{ .address }} probably cannot connect.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdautoscalerdown
- alert: BuildkitdAutoscalerRestarts
  expr: >-
    changes(process_start_time_seconds{ {{- .targets -}} }[30m]) > 2
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      A proxy restarts again and again
    description: >-
      {{ "{{" }} $labels.instance }} has restarted more than twice in 30 minutes. Each restart that is no drain cuts its builds.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdautoscalerrestarts
- alert: BuildkitdAutoscalerFailed
  expr: >-
    sum(increase(buildkitd_autoscaler_sessions_ended_total{outcome="failed", {{- .targets -}} }[15m])) > 0
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      The autoscaler ended a session by a fault of its own
    description: >-
      That is a bug. Its log has a record of level error.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdautoscalerfailed
- alert: BuildkitdAutoscalerCutOff
  expr: >-
    (buildkitd_autoscaler_member_state{state=~"joining|cut_off", {{- .targets -}} } == 1) unless ignoring (state) (buildkitd_autoscaler_builder_state{state="missing", {{- .targets -}} } == 1)
  for: 5m
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      A proxy cannot renew its record in the Kubernetes API
    description: >-
      {{ "{{" }} $labels.instance }} is {{ "{{" }} $labels.state }}: nothing scales down, and other proxies may not know of its builds.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdautoscalercutoff
- alert: BuildkitdAutoscalerNoLeader
  expr: >-
    max(buildkitd_autoscaler_leader{ {{- .targets -}} }) == 0
  for: 5m
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      No proxy leads, so nothing scales down
    description: >-
      Builders stay, and cost money. Clients are served, and builders are started for them.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdautoscalernoleader
- alert: BuildkitdAutoscalerApiErrors
  expr: >-
    sum(rate(buildkitd_autoscaler_api_errors_total{code!="409", {{- .targets -}} }[10m])) > 0.1
  for: 10m
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      Requests to the Kubernetes API fail
    description: >-
      Warm builders go on to serve; cold starts and scaling down wait.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdautoscalerapierrors
- alert: BuildkitdAutoscalerAcceptErrors
  expr: >-
    sum(increase(buildkitd_autoscaler_accept_errors_total{cause!="client", {{- .targets -}} }[10m])) > 0
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      Connections cannot be accepted
    description: >-
      File descriptors or memory run out.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdautoscaleraccepterrors
- alert: BuildkitdAutoscalerNearLimit
  expr: >-
    buildkitd_autoscaler_sessions_open{ {{- .targets -}} } / buildkitd_autoscaler_sessions_limit{ {{- .targets -}} } > 0.8 or buildkitd_autoscaler_sessions_held{ {{- .targets -}} } / {{ .maxHeld }} > 0.8
  for: 5m
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      A proxy is near its limit of connections
    description: >-
      {{ "{{" }} $labels.instance }} uses more than 80 % of --max-connections (or of its file descriptors) or of --max-held. Beyond the limit it refuses clients.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdautoscalernearlimit
- alert: BuildkitdCertificateExpires
  expr: >-
    (buildkitd_autoscaler_certificate_expiry_seconds{ {{- .targets -}} } > 0) - time() < 7 * 24 * 3600
  for: 15m
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      The certificate for clients expires within a week
    description: >-
      Clients with TLS will not connect to {{ "{{" }} $labels.instance }} then. The proxy reads a new certificate by itself.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdcertificateexpires
- alert: BuildkitdClientsTimedOut
  expr: >-
    sum(increase(buildkitd_autoscaler_sessions_ended_total{outcome=~"timed_out|queue_timeout", {{- .targets -}} }[15m])) > 0
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      Clients gave up, since no builder came in time
    description: >-
      Look at the pods of {{ .builders }}.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdclientstimedout
- alert: BuildkitdClientsRefused
  expr: >-
    sum(increase(buildkitd_autoscaler_sessions_ended_total{outcome="limited", {{- .targets -}} }[15m])) > 0
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      Clients are turned away at a limit
    description: >-
      More clients connect or wait than --max-connections or --max-held allow.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdclientsrefused
- alert: BuildkitdClientsQueue
  expr: >-
    sum(buildkitd_autoscaler_sessions_queued{ {{- .targets -}} }) > 0
  for: 15m
  labels:
    severity: >-
      info
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      Clients queue all the time
    description: >-
      All builders of a pool are full. More builders, or a higher --max-sessions-per-replica, shorten the queue.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdclientsqueue
- alert: BuildkitdBroke
  expr: >-
    sum(increase(buildkitd_autoscaler_sessions_broken_total{ {{- .targets -}} }[15m])) > 0
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      Builds ended since buildkitd broke
    description: >-
      Look for an end of the container by memory, and at its log before the restart.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdbroke
- alert: BuildkitdBuilderUnusable
  expr: >-
    max by (builder, state) (buildkitd_autoscaler_builder_state{state=~"missing|stuck",builder!~"{{ .cordoned }}", {{- .targets -}} }) == 1
  for: 5m
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      A builder is missing or does not start
    description: >-
      {{ "{{" }} $labels.builder }} is {{ "{{" }} $labels.state }}. The log of the autoscaler and /healthz?verbose say why.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdbuilderunusable
- alert: BuildkitdColdStartSlow
  expr: >-
    histogram_quantile(0.95, sum by (le) (rate(buildkitd_autoscaler_cold_start_seconds_bucket{phase="ready", {{- .targets -}} }[1h]))) > {{ .slowSeconds }}
  for: 10m
  labels:
    severity: >-
      info
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      Builders take long to start
    description: >-
      One cold start in twenty takes more than {{ .slowSeconds }} s. See where the time goes by the label phase; nodes and images that have to come are the usual cause.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdcoldstartslow
- alert: BuildkitdScalingStuck
  expr: >-
    (buildkitd_autoscaler_replicas_desired{ {{- .targets -}} } != buildkitd_autoscaler_replicas_observed{ {{- .targets -}} }) and ignoring(builder) buildkitd_autoscaler_leader{ {{- .targets -}} } == 1 unless ignoring(builder) buildkitd_autoscaler_observes{ {{- .targets -}} } == 1
  for: 10m
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      The number of builders is not the one that is wanted
    description: >-
      The log of the autoscaler has the failed write, or what a scale-down waits for.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdscalingstuck
- alert: BuildkitdReplicasContested
  expr: >-
    max by (builder) (increase(buildkitd_autoscaler_replicas_changed_externally_total{ {{- .targets -}} }[1h])) > 3
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      Somebody else writes the replica count again and again
    description: >-
      The count of {{ "{{" }} $labels.builder }} was changed more than 3 times in an hour by no proxy. buildkitd-autoscaler check names the other writer.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdreplicascontested
{{- if not .kept }}
- alert: BuildkitdIdle
  expr: >-
    max by (builder) (buildkitd_autoscaler_replicas_observed{ {{- .targets -}} }) > {{ .minReplicas }} and on (builder) sum by (builder) (buildkitd_autoscaler_builder_sessions{ {{- .targets -}} }) == 0 unless on (builder) sum by (builder) (increase(buildkitd_autoscaler_routed_total{ {{- .targets -}} }[5m])) > 0 unless on () max(buildkitd_autoscaler_observes{ {{- .targets -}} }) == 1
  for: {{ .idleFor }}
  labels:
    severity: >-
      warning
    namespace: >-
      {{ .namespace }}
    job: >-
      {{ .job }}
  annotations:
    summary: >-
      A builder costs money, and nobody builds there
    description: >-
      The log of the autoscaler says what keeps {{ "{{" }} $labels.builder }}.
    runbook_url: >-
      https://github.com/EarthBuild/buildkitd-autoscaler/blob/main/docs/alerts.md#buildkitdidle
{{- end }}
{{- end -}}
