{{/*
The builders: one StatefulSet each, with all that belongs to it. The first builder of the default pool has the names and labels
that a release with one builder has, so that its pod and its claim stay when others join it.

A template of one builder gets the release's root with two differences: `.Builder` is the builder, and `.Values.buildkitd` are the
values of its pool.
*/}}

{{/*
All builders, as a list in YAML: `.name` of the StatefulSet, `.pool` (empty: the default pool), `.suffix` of its names, and
`.component`, the label by which selectors tell builders apart. The default pool is first, the others are sorted.
*/}}
{{- define "buildkitd-stack.builders" -}}
{{- $builders := list -}}
{{- if .Values.buildkitd.enabled -}}
{{- $first := include "buildkitd-stack.buildkitd.firstName" . -}}
{{- range $pool := prepend (keys (.Values.pools | default dict) | sortAlpha) "" -}}
{{- $count := $.Values.buildkitd.builders -}}
{{- if $pool }}{{ $count = ((index $.Values.pools $pool | default dict).buildkitd | default dict).builders | default 1 }}{{ end -}}
{{- range $number := untilStep 1 (int $count | add1 | int) 1 -}}
{{- $suffix := printf "%s%s" (ternary (printf "-%s" $pool) "" (ne $pool "")) (ternary (printf "-b%d" $number) "" (gt $number 1)) -}}
{{- $builders = append $builders (dict "name" (printf "%s%s" $first $suffix) "pool" $pool "suffix" $suffix "component" (printf "buildkitd%s" $suffix)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $builders -}}
{{- end -}}

{{/* The names of all StatefulSets, as a list in YAML: the builders, or the one that exists already. */}}
{{- define "buildkitd-stack.target.statefulSets" -}}
{{- $names := list -}}
{{- range fromYamlArray (include "buildkitd-stack.builders" .) }}{{ $names = append $names .name }}{{ end -}}
{{- toYaml ($names | default (list .Values.autoscaler.target.statefulSet)) -}}
{{- end -}}

{{/* What `.template` renders for `.builder`. */}}
{{- define "buildkitd-stack.inBuilder" -}}
{{- $buildkitd := deepCopy .root.Values.buildkitd -}}
{{- if .builder.pool -}}
{{- include "buildkitd-stack.overlay" (dict "into" $buildkitd "from" ((index .root.Values.pools .builder.pool | default dict).buildkitd | default dict)) -}}
{{- end -}}
{{- $values := set (omit .root.Values "buildkitd") "buildkitd" $buildkitd -}}
{{- include .template (dict "Values" $values "Builder" .builder "Chart" .root.Chart "Release" .root.Release "Capabilities" .root.Capabilities) -}}
{{- end -}}

{{/* What `.template` renders for each builder, as documents of their own. */}}
{{- define "buildkitd-stack.eachBuilder" -}}
{{- range fromYamlArray (include "buildkitd-stack.builders" .root) }}
---
{{ include "buildkitd-stack.inBuilder" (dict "root" $.root "builder" . "template" $.template) }}
{{ end -}}
{{- end -}}

{{/* The list in YAML that `.template` renders for each builder, all in one; with `.pools` only for the first builder of each pool. */}}
{{- define "buildkitd-stack.ofBuilders" -}}
{{- $all := list -}}
{{- $seen := dict -}}
{{- range fromYamlArray (include "buildkitd-stack.builders" .root) -}}
{{- if not (and $.pools (hasKey $seen .pool)) -}}
{{- $_ := set $seen .pool true -}}
{{- $all = concat $all (fromYamlArray (include "buildkitd-stack.inBuilder" (dict "root" $.root "builder" . "template" $.template))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* Sets in the map `.into` what `.from` has, as helm does with a second file of values. (mergeOverwrite skips false, 0 and "".) */}}
{{- define "buildkitd-stack.overlay" -}}
{{- range $key, $value := .from -}}
{{- $there := index $.into $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $there) -}}
{{- include "buildkitd-stack.overlay" (dict "into" $there "from" $value) -}}
{{- else -}}
{{- $_ := set $.into $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where the values of the builder's pool stand, for messages. */}}
{{- define "buildkitd-stack.buildkitd.path" -}}
{{- with (.Builder | default dict).pool }}pools.{{ . }}.{{ end }}buildkitd
{{- end -}}

{{/* The program's text for the builders: `buildkitd,buildkitd-b2,arm64/buildkitd-arm64`. Services have the names that it expects. */}}
{{- define "buildkitd-stack.builders.text" -}}
{{- $entries := list -}}
{{- range fromYamlArray (include "buildkitd-stack.builders" .) -}}
{{- $entries = append $entries (printf "%s%s" (ternary (printf "%s/" .pool) "" (ne .pool "")) .name) -}}
{{- end -}}
{{- join "," $entries -}}
{{- end -}}

{{/*
The variables of `.own`, a list in YAML, with the settings of pools behind the values for all: "5m, arm64=15m". A pool's key is its
flag in camel case.
*/}}
{{- define "buildkitd-stack.pools.env" -}}
{{- $variables := fromYaml (include "buildkitd-stack.flagVariables" .root) -}}
{{- $texts := dict -}}
{{- range $pool, $settings := .root.Values.pools -}}
{{- range $key, $value := omit ($settings | default dict) "buildkitd" -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $variable := index $variables (printf "--%s" (kebabcase $key)) -}}
{{- $texts = set $texts $variable (append (index $texts $variable | default list) (include "buildkitd-stack.pools.text" (dict "pool" $pool "key" $key "value" $value))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $all := list -}}
{{- range fromYamlArray .own -}}
{{- $parts := index $texts .name | default list -}}
{{- if $parts -}}
{{- $texts = omit $texts .name -}}
{{- $separator := hasSuffix "_WARM" .name | ternary "; " ", " -}}
{{- $all = append $all (dict "name" .name "value" (join $separator (ternary (prepend $parts .value) $parts (ne .value "")))) -}}
{{- else -}}
{{- $all = append $all . -}}
{{- end -}}
{{- end -}}
{{- range $variable, $parts := $texts -}}
{{- $all = append $all (dict "name" $variable "value" (join (hasSuffix "_WARM" $variable | ternary "; " ", ") $parts)) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The program's text for `.value` of `.key` in `.pool`. Each warm window names its pool. */}}
{{- define "buildkitd-stack.pools.text" -}}
{{- if eq .key "warm" -}}
{{- $windows := list -}}
{{- range splitList ";" .value }}{{ $windows = append $windows (printf "%s/%s" $.pool (trim .)) }}{{ end -}}
{{- join "; " $windows -}}
{{- else -}}
{{- printf "%s=%v" .pool (kindIs "string" .value | ternary .value (int64 .value | toString)) -}}
{{- end -}}
{{- end -}}

{{/* The warm windows of `.pool`, from its own values and from the autoscaler's settings, where windows may name a pool. */}}
{{- define "buildkitd-stack.pools.warm" -}}
{{- $own := (index (.root.Values.pools | default dict) .pool | default dict).warm | default "" -}}
{{- $all := .root.Values.autoscaler.autoscalerConfig.warm | default "" -}}
{{- $windows := list -}}
{{- if $own }}{{ range splitList ";" $own }}{{ $windows = append $windows (trim .) }}{{ end }}{{ end -}}
{{- if $all -}}
{{- range splitList ";" $all -}}
{{- $window := trim . -}}
{{- $pool := regexFind "^[a-z0-9-]+/" $window -}}
{{- if eq (trimSuffix "/" $pool) $.pool }}{{ $windows = append $windows (trimPrefix $pool $window) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $windows -}}
{{- end -}}

{{/* A selector of all builders' pods. */}}
{{- define "buildkitd-stack.builders.selector" -}}
{{- $labels := include "buildkitd-stack.selectorLabels" (dict "root" . "component" "buildkitd") -}}
{{- $components := list -}}
{{- range fromYamlArray (include "buildkitd-stack.builders" .) }}{{ $components = append $components .component }}{{ end -}}
{{- if eq (len $components) 1 -}}
matchLabels:
  {{- $labels | nindent 2 }}
{{- else -}}
matchLabels:
  {{- toYaml (omit (fromYaml $labels) "app.kubernetes.io/component") | nindent 2 }}
matchExpressions:
  - key: app.kubernetes.io/component
    operator: In
    values: {{ toJson $components }}
{{- end -}}
{{- end -}}
