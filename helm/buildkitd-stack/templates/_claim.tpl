{{/*
The volume claim that the StatefulSet makes for the cache, or nothing. Kubernetes lets nobody change it later, so it is without
the common labels: an upgrade with other ones would fail.
*/}}
{{- define "buildkitd-stack.buildkitd.claim" -}}
{{- if and .Values.buildkitd.persistence.enabled (not .Values.buildkitd.persistence.existingClaim) -}}
metadata:
  name: cache
  labels:
    {{- toYaml (mergeOverwrite (dict) (.Values.buildkitd.persistence.labels | default dict) (fromYaml (include "buildkitd-stack.selectorLabels" (dict "root" . "component" (include "buildkitd-stack.buildkitd.component" .))))) | nindent 4 }}
  {{- with .Values.buildkitd.persistence.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  accessModes:
    {{- toYaml .Values.buildkitd.persistence.accessModes | nindent 4 }}
  {{- if eq .Values.buildkitd.persistence.storageClassName "-" }}
  storageClassName: ""
  {{- else if .Values.buildkitd.persistence.storageClassName }}
  storageClassName: {{ .Values.buildkitd.persistence.storageClassName }}
  {{- end }}
  resources:
    requests:
      storage: {{ .Values.buildkitd.persistence.size }}
{{- end -}}
{{- end -}}
