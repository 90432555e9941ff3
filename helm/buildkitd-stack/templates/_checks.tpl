{{/*
What a schema cannot say. All problems are reported together, each with what to do.
*/}}
{{- define "buildkitd-stack.checks" -}}
{{- $problems := concat (fromYamlArray (include "buildkitd-stack.checks.image" .)) (fromYamlArray (include "buildkitd-stack.checks.target" .)) (fromYamlArray (include "buildkitd-stack.checks.settings" .)) (fromYamlArray (include "buildkitd-stack.checks.goNames" .)) (fromYamlArray (include "buildkitd-stack.checks.service" .)) (fromYamlArray (include "buildkitd-stack.checks.live" .)) (fromYamlArray (include "buildkitd-stack.checks.access" .)) (fromYamlArray (include "buildkitd-stack.checks.upstreamTls" .)) (fromYamlArray (include "buildkitd-stack.checks.tlsListener" .)) (fromYamlArray (include "buildkitd-stack.checks.builders" .)) (fromYamlArray (include "buildkitd-stack.checks.listeners" .)) -}}
{{- if and .Values.laptopRole.create (not .Values.laptopRole.group) -}}
{{- $problems = append $problems "laptopRole.create is true, and laptopRole.group is empty: name the group that gets the rights" -}}
{{- end -}}
{{- if and .Values.laptopRole.create (not .Values.autoscaler.rbac.leases) -}}
{{- $problems = append $problems "laptopRole.create is true, and autoscaler.rbac.leases is false: a program on somebody's machine is one more proxy, and several proxies agree by Leases. Allow them" -}}
{{- end -}}
{{- if and (gt (int .Values.autoscaler.replicaCount) 1) (not .Values.autoscaler.rbac.leases) -}}
{{- $problems = append $problems (printf "autoscaler.replicaCount is %d, and autoscaler.rbac.leases is false: several proxies agree by Leases. Allow them, or run one replica" (int .Values.autoscaler.replicaCount)) -}}
{{- end -}}
{{- if .Values.autoscaler.namespace.create -}}
{{- if not (or .Values.autoscaler.namespaceOverride .Values.autoscaler.separateNamespace) -}}
{{- $problems = append $problems "autoscaler.namespace.create is true, and neither autoscaler.namespaceOverride nor autoscaler.separateNamespace names a namespace: name one, or let helm make the release's namespace with --create-namespace" -}}
{{- end -}}
{{- if has .Release.Namespace (list .Values.autoscaler.namespaceOverride .Values.autoscaler.separateNamespace) -}}
{{- $problems = append $problems (printf "autoscaler.namespace.create is true for %q, which is the release's namespace: let helm make that with --create-namespace" .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- range $key, $address := dict "proxyListenAddr" .Values.autoscaler.autoscalerConfig.proxyListenAddr "adminAddr" .Values.autoscaler.autoscalerConfig.adminAddr -}}
{{- if regexMatch "^(127\\.|localhost|\\[::1\\])" (toString $address) -}}
{{- $problems = append $problems (printf "autoscaler.autoscalerConfig.%s is %q, which nothing outside the pod can reach: want an address such as %q" $key $address (printf ":%s" (include "buildkitd-stack.port" $address))) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "buildkitd-stack.proxyPort" .) (include "buildkitd-stack.adminPort" .) -}}
{{- $problems = append $problems (printf "autoscaler.autoscalerConfig.proxyListenAddr and adminAddr have the same port %s: want different ones" (include "buildkitd-stack.proxyPort" .)) -}}
{{- end -}}
{{- if and .Values.buildkitd.enabled (eq (include "buildkitd-stack.autoscaler.fullname" .) (include "buildkitd-stack.buildkitd.fullname" .)) (eq (include "buildkitd-stack.autoscaler.namespace" .) (include "buildkitd-stack.namespace" .)) -}}
{{- $problems = append $problems (printf "The names of autoscaler and buildkitd, by fullnameOverride or nameOverride, are both %q: want different ones in one namespace" (include "buildkitd-stack.buildkitd.fullname" .)) -}}
{{- end -}}
{{- $tls := include "buildkitd-stack.buildkitd.tls" . -}}
{{- if and $tls (eq (.Values.autoscaler.autoscalerConfig.readiness | default "auto") "grpc") -}}
{{- $problems = append $problems (printf "autoscaler.autoscalerConfig.readiness is \"grpc\", and buildkitd speaks TLS by %s: the health check is plain gRPC, so no pod would ever take a client. Want \"auto\" or \"pod\"" $tls) -}}
{{- end -}}
{{- $service := .Values.autoscaler.metrics.serviceMonitor.enabled -}}
{{- $pod := .Values.autoscaler.metrics.podMonitor.enabled -}}
{{- if and .Values.autoscaler.metrics.prometheusRule.enabled (not (or $service $pod)) -}}
{{- $problems = append $problems "autoscaler.metrics.prometheusRule.enabled is true, and autoscaler.metrics.serviceMonitor.enabled and autoscaler.metrics.podMonitor.enabled are false: the alerts are about the targets that one of them makes. Enable one of them, too" -}}
{{- end -}}
{{- if and $service $pod -}}
{{- $problems = append $problems "autoscaler.metrics.serviceMonitor.enabled and autoscaler.metrics.podMonitor.enabled are true: each proxy would be scraped twice. Enable one of them" -}}
{{- end -}}
{{- if not .Values.networkPolicy.enabled -}}
{{- if .Values.networkPolicy.egress.enabled -}}
{{- $problems = append $problems "networkPolicy.egress.enabled is true, and networkPolicy.enabled is false: want both" -}}
{{- end -}}
{{- range $key, $who := dict "clients" .Values.networkPolicy.clients "tlsClients" .Values.networkPolicy.tlsClients "metricsClients" .Values.networkPolicy.metricsClients -}}
{{- if $who -}}
{{- $problems = append $problems (printf "networkPolicy.%s is given, and networkPolicy.enabled is false, so everybody may connect: want true" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "found %d %s in the values:\n  %s" (len $problems) (eq (len $problems) 1 | ternary "problem" "problems") (join "\n  " $problems)) -}}
{{- end -}}
{{- end -}}
