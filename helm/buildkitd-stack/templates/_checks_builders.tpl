{{/*
What the values say wrongly of builders and pools, as a list in YAML.
*/}}
{{- define "buildkitd-stack.checks.builders" -}}
{{- $problems := list -}}
{{- $builders := fromYamlArray (include "buildkitd-stack.builders" .) -}}
{{- if gt (len $builders) 64 -}}
{{- $problems = append $problems (printf "buildkitd.builders and pools ask for %d builders: want at most 64 in one release" (len $builders)) -}}
{{- end -}}
{{- if not .Values.buildkitd.enabled -}}
{{- range $key, $given := dict "buildkitd.builders" (gt (int .Values.buildkitd.builders) 1) "buildkitd.maxReplicas" (gt (int .Values.buildkitd.maxReplicas) 1) "buildkitd.cordoned" .Values.buildkitd.cordoned "buildkitd.autoscaling.enabled" .Values.buildkitd.autoscaling.enabled "pools" .Values.pools -}}
{{- if $given -}}
{{- $problems = append $problems (printf "%s is given, and buildkitd.enabled is false: builders are StatefulSets of this chart. Want buildkitd.enabled true, or leave it out" $key) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $problems = concat $problems (fromYamlArray (include "buildkitd-stack.checks.builderNames" .)) (fromYamlArray (include "buildkitd-stack.checks.cordoned" .)) (fromYamlArray (include "buildkitd-stack.checks.claims" .)) (fromYamlArray (include "buildkitd-stack.ofBuilders" (dict "root" . "pools" true "template" "buildkitd-stack.checks.pool"))) -}}
{{- end -}}
{{- toYaml (concat $problems (fromYamlArray (include "buildkitd-stack.checks.poolSettings" .)) (fromYamlArray (include "buildkitd-stack.checks.poolNumbers" .))) -}}
{{- end -}}

{{/* Names that Kubernetes would refuse, or that two builders would have. A StatefulSet's name and its revision are one label. */}}
{{- define "buildkitd-stack.checks.builderNames" -}}
{{- $problems := list -}}
{{- $names := list -}}
{{- range fromYamlArray (include "buildkitd-stack.builders" .) -}}
{{- if and .suffix (gt (len .name) 52) -}}
{{- $problems = append $problems (printf "the name of builder %q would have %d characters: want at most 52, since Kubernetes adds a revision and has room for 63. Give the pool or the release a shorter name, or set buildkitd.fullnameOverride in a new release" .name (len .name)) -}}
{{- end -}}
{{- if has .name $names -}}
{{- $problems = append $problems (printf "two builders would have the name %q: give the pool %q another name" .name .pool) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range $pool, $_ := .Values.pools -}}
{{- if regexMatch "(^|-)b[0-9]+$" $pool -}}
{{- $problems = append $problems (printf "the pool %q has a name that ends as that of a builder does (-b2): want another name" $pool) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{- define "buildkitd-stack.checks.cordoned" -}}
{{- $problems := list -}}
{{- $names := fromYamlArray (include "buildkitd-stack.target.statefulSets" .) -}}
{{- range .Values.buildkitd.cordoned | default list | uniq -}}
{{- if not (has . $names) -}}
{{- $problems = append $problems (printf "buildkitd.cordoned has %q, and the builders are %s: want one of them" . (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- if ne (len (.Values.buildkitd.cordoned | default list | uniq)) (len (.Values.buildkitd.cordoned | default list)) -}}
{{- $problems = append $problems (printf "buildkitd.cordoned names a builder twice: %s" (join ", " .Values.buildkitd.cordoned)) -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* Two daemons on one volume would break each other's cache. */}}
{{- define "buildkitd-stack.checks.claims" -}}
{{- $problems := list -}}
{{- $claims := fromYamlArray (include "buildkitd-stack.ofBuilders" (dict "root" . "template" "buildkitd-stack.existingClaims")) -}}
{{- range $claim := uniq $claims -}}
{{- $pods := 0 -}}
{{- range $claims }}{{ if eq . $claim }}{{ $pods = add $pods 1 }}{{ end }}{{ end -}}
{{- if gt $pods 1 -}}
{{- $problems = append $problems (printf "buildkitd.persistence.existingClaim is %q for %d pods: each needs a volume of its own. Want one builder with buildkitd.maxReplicas 1, or leave existingClaim out, so that each pod gets a claim; a pool can have another existingClaim, or \"\"" $claim $pods) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* The claim of each pod of the builder that mounts one that exists. */}}
{{- define "buildkitd-stack.existingClaims" -}}
{{- $claims := list -}}
{{- if and .Values.buildkitd.persistence.enabled .Values.buildkitd.persistence.existingClaim -}}
{{- range until (int .Values.buildkitd.maxReplicas) }}{{ $claims = append $claims $.Values.buildkitd.persistence.existingClaim }}{{ end -}}
{{- end -}}
{{- toYaml $claims -}}
{{- end -}}

{{/* The values of buildkitd in a pool. */}}
{{- define "buildkitd-stack.checks.pool" -}}
{{- $problems := list -}}
{{- $path := include "buildkitd-stack.buildkitd.path" . -}}
{{- $image := .Values.buildkitd.image.repository -}}
{{- with include "buildkitd-stack.checks.repository" (dict "part" $path "repository" $image) }}{{ $problems = append $problems . }}{{ end -}}
{{- if and (hasPrefix "earth" .Values.buildkitd.preset) (regexMatch "(^|/)moby/buildkit$" $image) -}}
{{- $problems = append $problems (printf "%s.image.repository is %q, and %s.preset is %q: want preset \"moby\", or \"moby-rootless\" for a rootless tag" $path $image $path .Values.buildkitd.preset) -}}
{{- end -}}
{{- if and (eq .Values.buildkitd.preset "earthly") (regexMatch "(^|/)earthbuild/earthbuild$" $image) -}}
{{- $problems = append $problems (printf "%s.image.repository is %q, and %s.preset is \"earthly\", whose cache is at another path: want preset \"earthbuild\"" $path $image $path) -}}
{{- end -}}
{{- if and .Values.buildkitd.persistence.existingClaim (not .Values.buildkitd.persistence.enabled) -}}
{{- $problems = append $problems (printf "%s.persistence.existingClaim is given, and %s.persistence.enabled is false: want true" $path $path) -}}
{{- end -}}
{{- if .Values.buildkitd.autoscaling.enabled -}}
{{- if eq (int .Values.buildkitd.maxReplicas) 1 -}}
{{- $problems = append $problems (printf "%s.autoscaling.enabled is true, and buildkitd.maxReplicas is 1: a HorizontalPodAutoscaler could raise nothing. Want buildkitd.maxReplicas above 1, or leave it out" $path) -}}
{{- else if gt (int .Values.buildkitd.autoscaling.minReplicas) (int .Values.buildkitd.maxReplicas) -}}
{{- $problems = append $problems (printf "%s.autoscaling.minReplicas is %d, and buildkitd.maxReplicas is %d: want the second at least the first" $path (int .Values.buildkitd.autoscaling.minReplicas) (int .Values.buildkitd.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* Settings of pools out of the program's limits. */}}
{{- define "buildkitd-stack.checks.poolSettings" -}}
{{- $problems := list -}}
{{- $rows := fromYaml (include "buildkitd-stack.settingRows" .) -}}
{{- range $pool, $settings := .Values.pools -}}
{{- range $key, $value := $settings -}}
{{- range $row := $rows -}}
{{- if and (eq $row.flag (printf "--%s" (kebabcase $key))) $row.min (not (kindIs "invalid" $value)) -}}
{{- $time := include "buildkitd-stack.nanoseconds" $value | int64 -}}
{{- if or (lt $time (include "buildkitd-stack.nanoseconds" $row.min | int64)) (gt $time (include "buildkitd-stack.nanoseconds" $row.max | int64)) -}}
{{- $problems = append $problems (printf "pools.%s.%s is %q: want a duration from %s to %s" $pool $key $value $row.min $row.max) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* Numbers that do not fit together, in each pool: its own, or those of all. */}}
{{- define "buildkitd-stack.checks.poolNumbers" -}}
{{- $problems := list -}}
{{- $config := .Values.autoscaler.autoscalerConfig -}}
{{- $sizes := dict -}}
{{- $cordoned := .Values.buildkitd.cordoned | default list -}}
{{- range fromYamlArray (include "buildkitd-stack.builders" .) }}{{ $_ := set $sizes .pool (add (ternary 0 1 (has .name $cordoned)) (index $sizes .pool | default 0)) }}{{ end -}}
{{- range $window := splitList ";" ($config.warm | default "") -}}
{{- $pool := regexFind `^[^\s/]+/` (trim $window) | trimSuffix "/" -}}
{{- if and $pool (not (hasKey ($.Values.pools | default dict) $pool)) -}}
{{- $problems = append $problems (printf "warm has %q, and there is no pool %q: want one of pools" (trim $window) $pool) -}}
{{- end -}}
{{- end -}}
{{- range $pool := prepend (keys (.Values.pools | default dict) | sortAlpha) "" -}}
{{- $numbers := dict "minReplicas" 0 "sessionsPerReplica" 4 "maxSessionsPerReplica" 0 -}}
{{- range $from := list $config (ternary (index ($.Values.pools | default dict) $pool | default dict) dict (ne $pool "")) -}}
{{- range $key, $_ := $numbers -}}
{{- $given := index $from $key -}}
{{- if not (kindIs "invalid" $given) }}{{ $_ := set $numbers $key $given }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $of := ternary (printf " in pool %q" $pool) "" (ne $pool "") -}}
{{- $most := mul (ternary (index $sizes $pool) 1 (hasKey $sizes $pool)) (int $.Values.buildkitd.maxReplicas) -}}
{{- if gt (int $numbers.minReplicas) (int $most) -}}
{{- $problems = append $problems (printf "minReplicas is %d%s, and builders%s times maxReplicas is %d: want the first at most the second" (int $numbers.minReplicas) $of (ternary "" " that are not cordoned" (empty $cordoned)) $most) -}}
{{- end -}}
{{- range $window := fromYamlArray (include "buildkitd-stack.pools.warm" (dict "root" $ "pool" $pool)) -}}
{{- if not (regexMatch `^(?i:mon|tue|wed|thu|fri|sat|sun)([,-](?i:mon|tue|wed|thu|fri|sat|sun))*\s+[0-9]{1,2}:[0-5][0-9]-[0-9]{1,2}:[0-5][0-9]\s+[A-Za-z][^\s=]*\s*=\s*[0-9]+$` $window) -}}
{{- $problems = append $problems (printf "warm has %q%s: want windows with semicolons between, such as \"Mon-Fri 07:00-19:00 Europe/Berlin=1\"" $window $of) -}}
{{- else if gt (int (regexFind "[0-9]+$" $window)) (int $most) -}}
{{- $problems = append $problems (printf "warm has %q%s, and builders%s times maxReplicas is %d: want no window with more" $window $of (ternary "" " that are not cordoned" (empty $cordoned)) $most) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int $numbers.maxSessionsPerReplica) 0) (lt (int $numbers.maxSessionsPerReplica) (int $numbers.sessionsPerReplica)) -}}
{{- $problems = append $problems (printf "maxSessionsPerReplica is %d, and sessionsPerReplica is %d%s: want the first at least as high as the second" (int $numbers.maxSessionsPerReplica) (int $numbers.sessionsPerReplica) $of) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}
