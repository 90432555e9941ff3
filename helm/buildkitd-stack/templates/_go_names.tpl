{{/*
Values that the chart of the Go program has under another name. Both names count; a value of this chart's own name comes first,
and "buildkitd-stack.checks.goNames" refuses two that differ. The path of the cache is in "buildkitd-stack.buildkitd.cachePath".
*/}}

{{- define "buildkitd-stack.buildkitd.securityContext" -}}
{{- toYaml (.Values.buildkitd.securityContext | default .Values.buildkitd.containerSecurityContext | default dict) -}}
{{- end -}}

{{- define "buildkitd-stack.buildkitd.extraVolumes" -}}
{{- toYaml (.Values.buildkitd.extraVolumes | default .Values.buildkitd.volumes | default list) -}}
{{- end -}}

{{- define "buildkitd-stack.buildkitd.extraVolumeMounts" -}}
{{- toYaml (.Values.buildkitd.extraVolumeMounts | default .Values.buildkitd.volumeMounts | default list) -}}
{{- end -}}
