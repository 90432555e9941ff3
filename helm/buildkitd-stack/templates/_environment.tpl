{{/*
The containers' variables. One that a value gives replaces the chart's of the same name: a name that is there twice is refused
when it is applied on the server.
*/}}

{{/* The list of `.own` (YAML) and `.given`. */}}
{{- define "buildkitd-stack.env" -}}
{{- $given := dict -}}
{{- range .given }}{{ $_ := set $given .name true }}{{ end -}}
{{- $all := list -}}
{{- range fromYamlArray .own -}}
{{- if not (hasKey $given .name) }}{{ $all = append $all . }}{{ end -}}
{{- end -}}
{{- toYaml (concat $all (.given | default list)) -}}
{{- end -}}

{{/* What the program is told: what it scales, which the chart knows, and its settings. */}}
{{- define "buildkitd-stack.autoscaler.env" -}}
- name: BUILDKITD_STATEFULSET_NAME
  value: {{ include "buildkitd-stack.target.statefulSet" . | quote }}
- name: BUILDKITD_STATEFULSET_NAMESPACE
  value: {{ include "buildkitd-stack.target.namespace" . | quote }}
- name: BUILDKITD_HEADLESS_SERVICE_NAME
  value: {{ include "buildkitd-stack.target.headlessService" . | quote }}
- name: BUILDKITD_TARGET_PORT
  value: {{ include "buildkitd-stack.target.port" . | quote }}
{{- if gt (len (fromYamlArray (include "buildkitd-stack.target.statefulSets" .))) 1 }}
- name: AUTOSCALER_BUILDERS
  value: {{ include "buildkitd-stack.builders.text" . | quote }}
{{- end }}
{{- with include "buildkitd-stack.listeners.text" . }}
- name: AUTOSCALER_LISTENERS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.buildkitd.cordoned }}
- name: AUTOSCALER_CORDONED
  value: {{ join "," . | quote }}
{{- end }}
{{- if gt (int .Values.buildkitd.maxReplicas) 1 }}
- name: AUTOSCALER_MAX_REPLICAS
  value: {{ .Values.buildkitd.maxReplicas | int64 | quote }}
{{- end }}
{{- include "buildkitd-stack.tlsListener.env" . }}
{{- include "buildkitd-stack.upstreamTls.env" . }}
{{- include "buildkitd-stack.settings" . }}
{{- end -}}

{{/* What the preset's image needs, and where buildctl finds the daemon, for who runs it in the container. */}}
{{- define "buildkitd-stack.buildkitd.env" -}}
{{- $preset := fromYaml (include "buildkitd-stack.preset" .) -}}
- name: BUILDKIT_HOST
  value: tcp://localhost:{{ .Values.buildkitd.service.port | int64 }}
{{- range $variable, $value := $preset.env }}
- name: {{ $variable }}
  value: {{ $value | quote }}
{{- end }}
{{- if and .Values.buildkitd.config $preset.configVariable }}
- name: {{ $preset.configVariable }}
  valueFrom:
    configMapKeyRef:
      name: {{ include "buildkitd-stack.buildkitd.fullname" . }}
      key: buildkitd.toml
{{- end }}
{{- end -}}
