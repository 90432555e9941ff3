{{/*
TLS between the autoscaler and buildkitd: one Secret with a certificate for both, mounted in both. Where buildkitd is not of
this chart, only the autoscaler's side is here.
*/}}

{{/* Where the Secret is mounted, in both. Not as a single file: the kubelet would never replace that. */}}
{{- define "buildkitd-stack.upstreamTls.path" -}}
/etc/buildkitd-tls
{{- end -}}

{{- define "buildkitd-stack.upstreamTls.name" -}}
{{- printf "%s-upstream" (include "buildkitd-stack.autoscaler.fullname" .) -}}
{{- end -}}

{{- define "buildkitd-stack.upstreamTls.secret" -}}
{{- .Values.autoscaler.tls.upstream.secretName | default (include "buildkitd-stack.upstreamTls.name" .) -}}
{{- end -}}

{{- define "buildkitd-stack.upstreamTls.serverName" -}}
{{- .Values.autoscaler.tls.upstream.serverName | default (printf "%s.%s.svc" (include "buildkitd-stack.target.headlessService" .) (include "buildkitd-stack.target.namespace" .)) -}}
{{- end -}}

{{/* The namespaces of the pods that mount the Secret, as a list in YAML. */}}
{{- define "buildkitd-stack.upstreamTls.namespaces" -}}
{{- $namespaces := list (include "buildkitd-stack.autoscaler.namespace" .) -}}
{{- if .Values.buildkitd.enabled }}{{ $namespaces = append $namespaces (include "buildkitd-stack.namespace" .) }}{{ end -}}
{{- toYaml ($namespaces | uniq) -}}
{{- end -}}

{{/* The autoscaler's variables. */}}
{{- define "buildkitd-stack.upstreamTls.env" -}}
{{- if .Values.autoscaler.tls.upstream.enabled }}
- name: AUTOSCALER_UPSTREAM_TLS_CA
  value: {{ include "buildkitd-stack.upstreamTls.path" . }}/ca.crt
- name: AUTOSCALER_UPSTREAM_TLS_CERT
  value: {{ include "buildkitd-stack.upstreamTls.path" . }}/tls.crt
- name: AUTOSCALER_UPSTREAM_TLS_KEY
  value: {{ include "buildkitd-stack.upstreamTls.path" . }}/tls.key
- name: AUTOSCALER_UPSTREAM_TLS_SERVER_NAME
  value: {{ include "buildkitd-stack.upstreamTls.serverName" . | quote }}
{{- end }}
{{- end -}}

{{/* buildkitd's arguments: it wants a certificate of every client. */}}
{{- define "buildkitd-stack.upstreamTls.args" -}}
{{- if .Values.autoscaler.tls.upstream.enabled -}}
- --tlscert={{ include "buildkitd-stack.upstreamTls.path" . }}/tls.crt
- --tlskey={{ include "buildkitd-stack.upstreamTls.path" . }}/tls.key
- --tlscacert={{ include "buildkitd-stack.upstreamTls.path" . }}/ca.crt
{{- end -}}
{{- end -}}

{{/* The mount and the volume, in either pod. */}}
{{- define "buildkitd-stack.upstreamTls.mount" -}}
{{- if .Values.autoscaler.tls.upstream.enabled -}}
- name: upstream-tls
  mountPath: {{ include "buildkitd-stack.upstreamTls.path" . }}
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "buildkitd-stack.upstreamTls.volume" -}}
{{- if .Values.autoscaler.tls.upstream.enabled -}}
- name: upstream-tls
  secret:
    secretName: {{ include "buildkitd-stack.upstreamTls.secret" . }}
{{- end -}}
{{- end -}}

{{/* What the values say too much or too little, as a list in YAML. */}}
{{- define "buildkitd-stack.checks.upstreamTls" -}}
{{- $problems := list -}}
{{- $upstream := .Values.autoscaler.tls.upstream -}}
{{- $issuer := ($upstream.certManager.issuerRef | default dict).name -}}
{{- if $upstream.enabled -}}
{{- if not (or $upstream.secretName $upstream.certManager.create) -}}
{{- $problems = append $problems "autoscaler.tls.upstream.enabled is true, and there is no certificate: name a Secret by autoscaler.tls.upstream.secretName, or set autoscaler.tls.upstream.certManager.create" -}}
{{- end -}}
{{- if and $upstream.certManager.create (not $issuer) -}}
{{- $problems = append $problems "autoscaler.tls.upstream.certManager.create is true, and autoscaler.tls.upstream.certManager.issuerRef names no issuer: want issuerRef.name, such as {name: buildkit-ca}" -}}
{{- end -}}
{{- with include "buildkitd-stack.buildkitd.tls" . -}}
{{- $problems = append $problems (printf "autoscaler.tls.upstream.enabled is true, and %s gives buildkitd a certificate, too: want one of them" .) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}
