{{/*
Names, labels and addresses. Names end up in labels and DNS names: the longest suffix, "-buildkitd-headless", has to fit into
63 characters, and the StatefulSet's name with the hash that its controller adds, too.
*/}}
{{- define "buildkitd-stack.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $both | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The autoscaler's own override of the chart's name follows the usual rule of helm's charts: RELEASE-NAME. */}}
{{- define "buildkitd-stack.autoscaler.fullname" -}}
{{- $name := printf "%s-autoscaler" (include "buildkitd-stack.fullname" .) -}}
{{- with .Values.autoscaler.nameOverride -}}
{{- $name = contains . $.Release.Name | ternary $.Release.Name (printf "%s-%s" $.Release.Name .) | replace "." "-" | trunc 55 | trimSuffix "-" -}}
{{- end -}}
{{- .Values.autoscaler.fullnameOverride | default $name -}}
{{- end -}}

{{/* The name of the first builder, from which the others have theirs. */}}
{{- define "buildkitd-stack.buildkitd.firstName" -}}
{{- .Values.buildkitd.fullnameOverride | default (printf "%s-buildkitd" (include "buildkitd-stack.fullname" .)) -}}
{{- end -}}

{{/* The name of the builder, or of the first one where no builder is meant. */}}
{{- define "buildkitd-stack.buildkitd.fullname" -}}
{{- printf "%s%s" (include "buildkitd-stack.buildkitd.firstName" .) ((.Builder | default dict).suffix | default "") -}}
{{- end -}}

{{- define "buildkitd-stack.buildkitd.component" -}}
{{- (.Builder | default dict).component | default "buildkitd" -}}
{{- end -}}

{{- define "buildkitd-stack.buildkitd.headless" -}}
{{- printf "%s-headless" (include "buildkitd-stack.buildkitd.fullname" .) -}}
{{- end -}}

{{/* The namespace of everything that has no other one. */}}
{{- define "buildkitd-stack.namespace" -}}
{{- .Values.autoscaler.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "buildkitd-stack.autoscaler.namespace" -}}
{{- .Values.autoscaler.separateNamespace | default (include "buildkitd-stack.namespace" .) -}}
{{- end -}}

{{- define "buildkitd-stack.autoscaler.serviceAccountName" -}}
{{- if .Values.autoscaler.serviceAccount.create -}}
{{- .Values.autoscaler.serviceAccount.name | default (include "buildkitd-stack.autoscaler.fullname" .) -}}
{{- else -}}
{{- .Values.autoscaler.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "buildkitd-stack.buildkitd.serviceAccountName" -}}
{{- if .Values.buildkitd.serviceAccount.create -}}
{{- .Values.buildkitd.serviceAccount.name | default (include "buildkitd-stack.buildkitd.firstName" .) -}}
{{- else -}}
{{- .Values.buildkitd.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* What never changes in the life of a release, with the component that `.component` names. */}}
{{- define "buildkitd-stack.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/*
What stands below `metadata` of an object: `.name`, `.namespace` if it has one, its `.component`, its own `.labels` and
`.annotations`. Labels that selectors use cannot be replaced.
*/}}
{{- define "buildkitd-stack.metadata" -}}
{{- $labels := fromYaml (include "buildkitd-stack.selectorLabels" .) -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $labels "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" .root.Chart.Name -}}
{{- $annotations := mergeOverwrite (dict) (.root.Values.commonAnnotations | default dict) (.annotations | default dict) -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- toYaml (mergeOverwrite (dict) (.root.Values.commonLabels | default dict) (.labels | default dict) $labels) | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels of a pod: without what changes from one version of the chart to the next. */}}
{{- define "buildkitd-stack.podLabels" -}}
{{- $own := fromYaml (include "buildkitd-stack.selectorLabels" .) -}}
{{- toYaml (mergeOverwrite (dict) (.root.Values.commonLabels | default dict) (.labels | default dict) $own) -}}
{{- end -}}

{{/*
The image of `.image` (repository, tag, digest), its tag by default `.tag`. A registry for all images takes the place of the
repository's own, which is its first part if that looks like a host.
*/}}
{{- define "buildkitd-stack.image" -}}
{{- $repository := .image.repository -}}
{{- with (.root.Values.global).imageRegistry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "") -}}
{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{/* The Secrets to pull images with: those of all charts, of this one, and `.own`. A name alone is taken, too. */}}
{{- define "buildkitd-stack.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat ((.root.Values.global).imagePullSecrets | default list) (.root.Values.imagePullSecrets | default list) (.own | default list) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets | uniq -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* The port of a listen address such as ":8372". */}}
{{- define "buildkitd-stack.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}

{{/* The name of the container's port that clients reach through the Service. */}}
{{- define "buildkitd-stack.autoscaler.portName" -}}
{{- regexFind "^.*[a-z].*$" (.Values.autoscaler.service.targetPort | default "" | toString) | default "tcp-buildkit" -}}
{{- end -}}

{{- define "buildkitd-stack.proxyPort" -}}
{{- include "buildkitd-stack.port" (.Values.autoscaler.autoscalerConfig.proxyListenAddr | default ":8080") -}}
{{- end -}}

{{- define "buildkitd-stack.adminPort" -}}
{{- include "buildkitd-stack.port" (.Values.autoscaler.autoscalerConfig.adminAddr | default ":8081") -}}
{{- end -}}

{{/* Where clients connect to, inside the cluster. */}}
{{- define "buildkitd-stack.host" -}}
{{- printf "%s.%s.svc" (include "buildkitd-stack.autoscaler.fullname" .) (include "buildkitd-stack.autoscaler.namespace" .) -}}
{{- end -}}

{{- define "buildkitd-stack.address" -}}
{{- printf "tcp://%s:%d" (include "buildkitd-stack.host" .) (int .Values.autoscaler.service.port) -}}
{{- end -}}

{{/* A Go duration such as "1h30m" in nanoseconds. Go itself parses it, since it is added to a date. */}}
{{- define "buildkitd-stack.nanoseconds" -}}
{{- $epoch := toDate "2006-01-02" "1970-01-01" -}}
{{- $end := mustDateModify . $epoch -}}
{{- sub $end.UnixNano $epoch.UnixNano -}}
{{- end -}}

{{/* In whole seconds, rounded up. */}}
{{- define "buildkitd-stack.seconds" -}}
{{- div (add (include "buildkitd-stack.nanoseconds" . | int64) 999999999) 1000000000 -}}
{{- end -}}

{{/* Spread constraints, which are about the component's own pods unless they say otherwise. */}}
{{- define "buildkitd-stack.spread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (fromYaml (include "buildkitd-stack.selectorLabels" .))) -}}
{{- $constraints := list -}}
{{- range .constraints -}}
{{- $constraints = append $constraints (hasKey . "labelSelector" | ternary . (mergeOverwrite (dict) . $own)) -}}
{{- end -}}
{{- toYaml $constraints -}}
{{- end -}}

{{/* A probe: `.probe` without `enabled`, with the handler `.handler` unless it has one of its own. */}}
{{- define "buildkitd-stack.probe" -}}
{{- $probe := omit .probe "enabled" -}}
{{- if not (or $probe.exec $probe.httpGet $probe.tcpSocket $probe.grpc) -}}
{{- $probe = mergeOverwrite (dict) $probe .handler -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}
