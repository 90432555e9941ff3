{{/*
What the pods of the proxy and the pod that checks it (tests/check.yaml) have in common: who they are, and what they are told.
*/}}

{{- define "buildkitd-stack.autoscaler.podSpec" -}}
serviceAccountName: {{ include "buildkitd-stack.autoscaler.serviceAccountName" . }}
# The token is mounted below, with a lifetime of its own.
automountServiceAccountToken: false
# A Service named autoscaler-… would otherwise set variables that look like settings.
enableServiceLinks: false
{{- with include "buildkitd-stack.imagePullSecrets" (dict "root" . "own" .Values.autoscaler.imagePullSecrets) }}
imagePullSecrets:
  {{- . | nindent 2 }}
{{- end }}
{{- with .Values.autoscaler.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.autoscaler.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.autoscaler.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "buildkitd-stack.autoscaler.environment" -}}
env:
  {{- include "buildkitd-stack.env" (dict "own" (include "buildkitd-stack.pools.env" (dict "root" . "own" (include "buildkitd-stack.autoscaler.env" .))) "given" .Values.autoscaler.extraEnv) | nindent 2 }}
{{- with .Values.autoscaler.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "buildkitd-stack.autoscaler.mounts" -}}
volumeMounts:
  - name: kube-api-access
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- with include "buildkitd-stack.tlsListener.mounts" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "buildkitd-stack.upstreamTls.mount" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .Values.autoscaler.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "buildkitd-stack.autoscaler.volumes" -}}
volumes:
  - {{ include "buildkitd-stack.autoscaler.accessVolume" . | nindent 4 | trim }}
  {{- with include "buildkitd-stack.tlsListener.volumes" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "buildkitd-stack.upstreamTls.volume" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .Values.autoscaler.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
