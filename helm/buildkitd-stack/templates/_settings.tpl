{{/* Made by `deno task generate` from the program's table of settings. */}}
{{- define "buildkitd-stack.settings" -}}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.proxyListenAddr) }}
- name: PROXY_LISTEN_ADDR
  value: {{ .Values.autoscaler.autoscalerConfig.proxyListenAddr | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.connectTimeout) }}
- name: AUTOSCALER_CONNECT_TIMEOUT
  value: {{ .Values.autoscaler.autoscalerConfig.connectTimeout | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.maxConnections) }}
- name: AUTOSCALER_MAX_CONNECTIONS
  value: {{ .Values.autoscaler.autoscalerConfig.maxConnections | int64 | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.maxHeld) }}
- name: AUTOSCALER_MAX_HELD
  value: {{ .Values.autoscaler.autoscalerConfig.maxHeld | int64 | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.answerHttp) }}
- name: AUTOSCALER_ANSWER_HTTP
  value: {{ .Values.autoscaler.autoscalerConfig.answerHttp | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.upstream) }}
- name: AUTOSCALER_UPSTREAM
  value: {{ .Values.autoscaler.autoscalerConfig.upstream | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.clusterDomain) }}
- name: AUTOSCALER_CLUSTER_DOMAIN
  value: {{ .Values.autoscaler.autoscalerConfig.clusterDomain | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.scaleDownIdleTimeout) }}
- name: SCALE_DOWN_IDLE_TIMEOUT
  value: {{ .Values.autoscaler.autoscalerConfig.scaleDownIdleTimeout | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.readyWaitTimeout) }}
- name: READY_WAIT_TIMEOUT
  value: {{ .Values.autoscaler.autoscalerConfig.readyWaitTimeout | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.minReplicas) }}
- name: AUTOSCALER_MIN_REPLICAS
  value: {{ .Values.autoscaler.autoscalerConfig.minReplicas | int64 | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.wakeOn) }}
- name: AUTOSCALER_WAKE_ON
  value: {{ .Values.autoscaler.autoscalerConfig.wakeOn | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.maxWakeFor) }}
- name: AUTOSCALER_MAX_WAKE_FOR
  value: {{ .Values.autoscaler.autoscalerConfig.maxWakeFor | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.observe) }}
- name: AUTOSCALER_OBSERVE
  value: {{ .Values.autoscaler.autoscalerConfig.observe | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.readiness) }}
- name: AUTOSCALER_READINESS
  value: {{ .Values.autoscaler.autoscalerConfig.readiness | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.warm) }}
- name: AUTOSCALER_WARM
  value: {{ .Values.autoscaler.autoscalerConfig.warm | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.sessionsPerReplica) }}
- name: AUTOSCALER_SESSIONS_PER_REPLICA
  value: {{ .Values.autoscaler.autoscalerConfig.sessionsPerReplica | int64 | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.maxSessionsPerReplica) }}
- name: AUTOSCALER_MAX_SESSIONS_PER_REPLICA
  value: {{ .Values.autoscaler.autoscalerConfig.maxSessionsPerReplica | int64 | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.queueTimeout) }}
- name: AUTOSCALER_QUEUE_TIMEOUT
  value: {{ .Values.autoscaler.autoscalerConfig.queueTimeout | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.placement) }}
- name: AUTOSCALER_PLACEMENT
  value: {{ .Values.autoscaler.autoscalerConfig.placement | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.affinityPatience) }}
- name: AUTOSCALER_AFFINITY_PATIENCE
  value: {{ .Values.autoscaler.autoscalerConfig.affinityPatience | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.overflow) }}
- name: AUTOSCALER_OVERFLOW
  value: {{ .Values.autoscaler.autoscalerConfig.overflow | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.sessionIdleTimeout) }}
- name: AUTOSCALER_SESSION_IDLE_TIMEOUT
  value: {{ .Values.autoscaler.autoscalerConfig.sessionIdleTimeout | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.whenCutOff) }}
- name: AUTOSCALER_WHEN_CUT_OFF
  value: {{ .Values.autoscaler.autoscalerConfig.whenCutOff | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.recordExpiry) }}
- name: AUTOSCALER_RECORD_EXPIRY
  value: {{ .Values.autoscaler.autoscalerConfig.recordExpiry | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.leaseDuration) }}
- name: AUTOSCALER_LEASE_DURATION
  value: {{ .Values.autoscaler.autoscalerConfig.leaseDuration | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.renewDeadline) }}
- name: AUTOSCALER_RENEW_DEADLINE
  value: {{ .Values.autoscaler.autoscalerConfig.renewDeadline | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.retryPeriod) }}
- name: AUTOSCALER_RETRY_PERIOD
  value: {{ .Values.autoscaler.autoscalerConfig.retryPeriod | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.shutdownDelay) }}
- name: AUTOSCALER_SHUTDOWN_DELAY
  value: {{ .Values.autoscaler.autoscalerConfig.shutdownDelay | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.drainTimeout) }}
- name: AUTOSCALER_DRAIN_TIMEOUT
  value: {{ .Values.autoscaler.autoscalerConfig.drainTimeout | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.logLevel) }}
- name: LOG_LEVEL
  value: {{ .Values.autoscaler.autoscalerConfig.logLevel | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.logFormat) }}
- name: AUTOSCALER_LOG_FORMAT
  value: {{ .Values.autoscaler.autoscalerConfig.logFormat | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.events) }}
- name: AUTOSCALER_EVENTS
  value: {{ .Values.autoscaler.autoscalerConfig.events | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.adminAddr) }}
- name: AUTOSCALER_ADMIN_ADDR
  value: {{ .Values.autoscaler.autoscalerConfig.adminAddr | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.autoscaler.autoscalerConfig.pricePerHour) }}
- name: AUTOSCALER_PRICE_PER_HOUR
  value: {{ .Values.autoscaler.autoscalerConfig.pricePerHour | quote }}
{{- end }}
{{- end -}}

{{/* The flag of each value, and the limits of durations. */}}
{{- define "buildkitd-stack.settingRows" -}}
proxyListenAddr: { flag: --listen-addr }
connectTimeout: { flag: --connect-timeout, min: 1ms, max: 8760h0m0s }
maxConnections: { flag: --max-connections }
maxHeld: { flag: --max-held }
answerHttp: { flag: --answer-http }
upstream: { flag: --upstream }
clusterDomain: { flag: --cluster-domain }
scaleDownIdleTimeout: { flag: --idle-timeout, min: 0s, max: 8760h0m0s }
readyWaitTimeout: { flag: --ready-wait-timeout, min: 1ms, max: 8760h0m0s }
minReplicas: { flag: --min-replicas }
wakeOn: { flag: --wake-on }
maxWakeFor: { flag: --max-wake-for, min: 0s, max: 8760h0m0s }
observe: { flag: --observe }
readiness: { flag: --readiness }
warm: { flag: --warm }
sessionsPerReplica: { flag: --sessions-per-replica }
maxSessionsPerReplica: { flag: --max-sessions-per-replica }
queueTimeout: { flag: --queue-timeout, min: 1ms, max: 8760h0m0s }
placement: { flag: --placement }
affinityPatience: { flag: --affinity-patience, min: 0s, max: 8760h0m0s }
overflow: { flag: --overflow }
sessionIdleTimeout: { flag: --session-idle-timeout, min: 0s, max: 8760h0m0s }
whenCutOff: { flag: --when-cut-off }
recordExpiry: { flag: --record-expiry, min: 10s, max: 8760h0m0s }
leaseDuration: { flag: --lease-duration, min: 1s, max: 8760h0m0s }
renewDeadline: { flag: --renew-deadline, min: 1s, max: 8760h0m0s }
retryPeriod: { flag: --retry-period, min: 100ms, max: 8760h0m0s }
shutdownDelay: { flag: --shutdown-delay, min: 0s, max: 8760h0m0s }
drainTimeout: { flag: --drain-timeout, min: 0s, max: 8760h0m0s }
logLevel: { flag: --log-level }
logFormat: { flag: --log-format }
events: { flag: --events }
adminAddr: { flag: --admin-addr }
pricePerHour: { flag: --price-per-hour }
{{- end -}}

{{/* The variable of each flag. */}}
{{- define "buildkitd-stack.flagVariables" -}}
--listen-addr: PROXY_LISTEN_ADDR
--connect-timeout: AUTOSCALER_CONNECT_TIMEOUT
--max-connections: AUTOSCALER_MAX_CONNECTIONS
--max-held: AUTOSCALER_MAX_HELD
--answer-http: AUTOSCALER_ANSWER_HTTP
--upstream: AUTOSCALER_UPSTREAM
--cluster-domain: AUTOSCALER_CLUSTER_DOMAIN
--upstream-tls-ca: AUTOSCALER_UPSTREAM_TLS_CA
--upstream-tls-cert: AUTOSCALER_UPSTREAM_TLS_CERT
--upstream-tls-key: AUTOSCALER_UPSTREAM_TLS_KEY
--upstream-tls-server-name: AUTOSCALER_UPSTREAM_TLS_SERVER_NAME
--tls-listen-addr: AUTOSCALER_TLS_LISTEN_ADDR
--tls-cert: AUTOSCALER_TLS_CERT
--tls-key: AUTOSCALER_TLS_KEY
--tls-client-ca: AUTOSCALER_TLS_CLIENT_CA
--tls-client-names: AUTOSCALER_TLS_CLIENT_NAMES
--proxy-protocol: AUTOSCALER_PROXY_PROTOCOL
--proxy-protocol-from: AUTOSCALER_PROXY_PROTOCOL_FROM
--sts-name: BUILDKITD_STATEFULSET_NAME
--sts-namespace: BUILDKITD_STATEFULSET_NAMESPACE
--headless-service-name: BUILDKITD_HEADLESS_SERVICE_NAME
--target-port: BUILDKITD_TARGET_PORT
--idle-timeout: SCALE_DOWN_IDLE_TIMEOUT
--ready-wait-timeout: READY_WAIT_TIMEOUT
--min-replicas: AUTOSCALER_MIN_REPLICAS
--wake-on: AUTOSCALER_WAKE_ON
--max-wake-for: AUTOSCALER_MAX_WAKE_FOR
--observe: AUTOSCALER_OBSERVE
--readiness: AUTOSCALER_READINESS
--warm: AUTOSCALER_WARM
--builders: AUTOSCALER_BUILDERS
--listeners: AUTOSCALER_LISTENERS
--cordoned: AUTOSCALER_CORDONED
--max-replicas: AUTOSCALER_MAX_REPLICAS
--sessions-per-replica: AUTOSCALER_SESSIONS_PER_REPLICA
--max-sessions-per-replica: AUTOSCALER_MAX_SESSIONS_PER_REPLICA
--queue-timeout: AUTOSCALER_QUEUE_TIMEOUT
--placement: AUTOSCALER_PLACEMENT
--affinity-patience: AUTOSCALER_AFFINITY_PATIENCE
--overflow: AUTOSCALER_OVERFLOW
--session-idle-timeout: AUTOSCALER_SESSION_IDLE_TIMEOUT
--kubeconfig: KUBECONFIG_PATH
--context: AUTOSCALER_CONTEXT
--when-cut-off: AUTOSCALER_WHEN_CUT_OFF
--record-expiry: AUTOSCALER_RECORD_EXPIRY
--lease-duration: AUTOSCALER_LEASE_DURATION
--renew-deadline: AUTOSCALER_RENEW_DEADLINE
--retry-period: AUTOSCALER_RETRY_PERIOD
--shutdown-delay: AUTOSCALER_SHUTDOWN_DELAY
--drain-timeout: AUTOSCALER_DRAIN_TIMEOUT
--log-level: LOG_LEVEL
--log-format: AUTOSCALER_LOG_FORMAT
--events: AUTOSCALER_EVENTS
--admin-addr: AUTOSCALER_ADMIN_ADDR
--price-per-hour: AUTOSCALER_PRICE_PER_HOUR
{{- end -}}
