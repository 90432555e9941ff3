{{/*
What the values say wrongly of projects and of the Services and ports of the autoscaler, as a list in YAML.
*/}}
{{- define "buildkitd-stack.checks.listeners" -}}
{{- $problems := list -}}
{{- $pools := keys (.Values.pools | default dict) | sortAlpha -}}
{{- $services := fromYaml (include "buildkitd-stack.checks.services" .) -}}
{{- $ports := fromYaml (include "buildkitd-stack.checks.ports" .) -}}
{{- range $listener := fromYamlArray (include "buildkitd-stack.listeners" .) -}}
{{- if and .project .pool (not (has .pool $pools)) -}}
{{- $problems = append $problems (printf "the project %q is of pool %q, and pools has %s: want one of them, or leave pool out" .project .pool ($pools | join ", " | default "none")) -}}
{{- end -}}
{{- if gt (len .service) 63 -}}
{{- $problems = append $problems (printf "the name of Service %q, for %s, would have %d characters: want at most 63. Give the pool or the release a shorter name, or set autoscaler.fullnameOverride in a new release" .service .target (len .service)) -}}
{{- end -}}
{{- with index $services .service -}}
{{- $problems = append $problems (printf "%s and %s would both have the Service %q: give one of them another name" . $listener.target $listener.service) -}}
{{- end -}}
{{- $_ := set $services .service .target -}}
{{- with index $ports (toString .port) -}}
{{- $problems = append $problems (printf "%s and the chart's listener of a pool or project have the same port: pools have ports from 8301 on, and projects from 8401 on. Want another port for it" .) -}}
{{- end -}}
{{- end -}}
{{- toYaml (uniq $problems) -}}
{{- end -}}

{{/* The other Services in the autoscaler's namespace, by name: what each is for. */}}
{{- define "buildkitd-stack.checks.services" -}}
{{- $name := include "buildkitd-stack.autoscaler.fullname" . -}}
{{- $services := dict $name "autoscaler.service" (printf "%s-metrics" $name) "autoscaler.metrics" (include "buildkitd-stack.tlsListener.name" .) "autoscaler.tls" -}}
{{- if eq (include "buildkitd-stack.autoscaler.namespace" .) (include "buildkitd-stack.namespace" .) -}}
{{- range fromYamlArray (include "buildkitd-stack.builders" .) }}{{ $_ := set $services (printf "%s-headless" .name) (printf "builder %s" .name) }}{{ end -}}
{{- end -}}
{{- toYaml $services -}}
{{- end -}}

{{/* The other ports of the autoscaler's pod: the value of each. */}}
{{- define "buildkitd-stack.checks.ports" -}}
{{- $ports := dict (include "buildkitd-stack.proxyPort" .) "autoscaler.autoscalerConfig.proxyListenAddr" (include "buildkitd-stack.adminPort" .) "autoscaler.autoscalerConfig.adminAddr" -}}
{{- if .Values.autoscaler.tls.enabled }}{{ $_ := set $ports (int .Values.autoscaler.tls.containerPort | toString) "autoscaler.tls.containerPort" }}{{ end -}}
{{- toYaml $ports -}}
{{- end -}}
