{{/*
What an upgrade cannot do to the StatefulSets that the cluster has, as a list in YAML. Helm changes the Deployment first: what
Kubernetes refuses of a StatefulSet would leave the release half upgraded. Where helm renders without a cluster there is
nothing to compare with.
*/}}
{{- define "buildkitd-stack.checks.live" -}}
{{- toYaml (concat (fromYamlArray (include "buildkitd-stack.ofBuilders" (dict "root" . "template" "buildkitd-stack.checks.liveBuilder"))) (fromYamlArray (include "buildkitd-stack.checks.removed" .))) -}}
{{- end -}}

{{- define "buildkitd-stack.checks.liveBuilder" -}}
{{- $problems := list -}}
{{- $live := fromYaml (include "buildkitd-stack.buildkitd.live" .) -}}
{{- if $live -}}
{{- $problems = concat (fromYamlArray (include "buildkitd-stack.checks.claim" (dict "root" . "live" $live))) (fromYamlArray (include "buildkitd-stack.checks.port" (dict "root" . "live" $live))) (fromYamlArray (include "buildkitd-stack.checks.encryption" (dict "root" . "live" $live))) -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/*
Builders that run and would be removed, with their builds. Which there were stands in the Deployment that is there, so nobody needs
the right to list StatefulSets.
*/}}
{{- define "buildkitd-stack.checks.removed" -}}
{{- $problems := list -}}
{{- $deployment := lookup "apps/v1" "Deployment" (include "buildkitd-stack.autoscaler.namespace" .) (include "buildkitd-stack.autoscaler.fullname" .) | default dict -}}
{{- $wanted := fromYamlArray (include "buildkitd-stack.builders" .) -}}
{{- $names := list -}}
{{- range $wanted }}{{ $names = append $names .name }}{{ end -}}
{{- $before := list -}}
{{- range (dig "spec" "template" "spec" "containers" list $deployment) -}}
{{- range .env -}}
{{- if has .name (list "BUILDKITD_STATEFULSET_NAME" "AUTOSCALER_BUILDERS") -}}
{{- range splitList "," (.value | default "") }}{{ $before = append $before (regexFind "[^/@]+$" (regexReplaceAll "@.*$" . "")) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name := without (uniq $before) "" -}}
{{- if not (has $name $names) -}}
{{- $set := lookup "apps/v1" "StatefulSet" (include "buildkitd-stack.namespace" $) $name | default dict -}}
{{- $own := eq (dig "metadata" "labels" "app.kubernetes.io/instance" "" $set) $.Release.Name -}}
{{- if and $own (gt (int (dig "spec" "replicas" 0 $set)) 0) -}}
{{- $problems = append $problems (printf "the upgrade would remove builder %q, which runs, with its builds: cordon it first (buildkitd.cordoned), wait until it sleeps (kubectl --namespace %s get statefulset %s), and upgrade again" $name (include "buildkitd-stack.namespace" $) $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* The StatefulSet, as YAML; empty if there is none. */}}
{{- define "buildkitd-stack.buildkitd.live" -}}
{{- with lookup "apps/v1" "StatefulSet" (include "buildkitd-stack.namespace" .) (include "buildkitd-stack.buildkitd.fullname" .) }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
The volume claim, which Kubernetes lets nobody change. What the cluster has added to it is no reason to refuse an upgrade, so
only what the values ask for is compared.
*/}}
{{- define "buildkitd-stack.checks.claim" -}}
{{- $problems := list -}}
{{- $name := .live.metadata.name -}}
{{- $namespace := include "buildkitd-stack.namespace" .root -}}
{{- $made := .live.spec.volumeClaimTemplates | default list | first | default dict -}}
{{- $wanted := fromYaml (include "buildkitd-stack.buildkitd.claim" .root) -}}
{{- $anew := printf "delete the StatefulSet when nobody builds (kubectl --namespace %s delete statefulset %s --cascade=orphan), and upgrade again" $namespace $name -}}
{{- $stays := printf "To have it changed, %s; a claim that is there stays as it is until it is deleted, too" $anew -}}
{{- if ne (empty $made) (empty $wanted) -}}
{{- $problems = append $problems (printf "buildkitd.persistence.enabled is %t, existingClaim is %q, and StatefulSet %q was made %s a claim of its own, which Kubernetes lets nobody change. %s" .root.Values.buildkitd.persistence.enabled .root.Values.buildkitd.persistence.existingClaim $name (ternary "without" "with" (empty $made)) $stays) -}}
{{- else if $wanted -}}
{{- $is := $wanted.spec.resources.requests.storage | toString -}}
{{- $was := $made.spec.resources.requests.storage | toString -}}
{{- $more := subf (include "buildkitd-stack.bytes" $is) (include "buildkitd-stack.bytes" $was) -}}
{{- if $more -}}
{{- $patch := printf "kubectl --namespace %s patch pvc cache-%s-0 --patch '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}'" $namespace $name $is -}}
{{- $larger := printf "To enlarge it, enlarge the claim if it is there (%s; its storage class has to allow that), %s" $patch $anew -}}
{{- $problems = append $problems (printf "buildkitd.persistence.size is %q, and StatefulSet %q was made with %q, which Kubernetes lets nobody change. %s" $is $name $was (gt $more 0.0 | ternary $larger $stays)) -}}
{{- end -}}
{{- range $key, $part := dict "storageClassName" "spec" "accessModes" "spec" "labels" "metadata" "annotations" "metadata" -}}
{{- $is := index $wanted $part $key -}}
{{- $was := index $made $part $key -}}
{{- if kindIs "map" $is }}{{ $is = mergeOverwrite (dict) ($was | default dict) $is }}{{ end -}}
{{- if and (hasKey (index $wanted $part) $key) (ne (toJson $is) (toJson $was)) -}}
{{- $problems = append $problems (printf "buildkitd.persistence.%s is %s, and StatefulSet %q was made with %s, which Kubernetes lets nobody change. %s" $key (toJson $is) $name (toJson $was) $stays) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* The port. With OnDelete a builder that runs goes on to listen on the old one, and no proxy of the upgrade dials that. */}}
{{- define "buildkitd-stack.checks.port" -}}
{{- $problems := list -}}
{{- $port := int .root.Values.buildkitd.service.port -}}
{{- if and (eq .root.Values.buildkitd.updateStrategy "OnDelete") (gt (int .live.spec.replicas) 0) -}}
{{- range .live.spec.template.spec.containers -}}
{{- range .ports -}}
{{- if and (eq .name "tcp-buildkit") (ne (int .containerPort) $port) -}}
{{- $problems = append $problems (printf "buildkitd.service.port is %d, and the builder that runs listens on %d: clients would wait for it in vain, and keep it. Upgrade when no builder runs, or with buildkitd.updateStrategy \"RollingUpdate\", by which Kubernetes replaces it, after its builds with buildkitd.drain.enabled" $port (int .containerPort)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* TLS to buildkitd, in the same way: a builder that runs goes on with it, or without. */}}
{{- define "buildkitd-stack.checks.encryption" -}}
{{- $problems := list -}}
{{- $is := .root.Values.autoscaler.tls.upstream.enabled -}}
{{- $was := false -}}
{{- range .live.spec.template.spec.volumes -}}
{{- if eq .name "upstream-tls" }}{{ $was = true }}{{ end -}}
{{- end -}}
{{- if and (eq .root.Values.buildkitd.updateStrategy "OnDelete") (gt (int .live.spec.replicas) 0) (ne $is $was) -}}
{{- $problems = append $problems (printf "autoscaler.tls.upstream.enabled is %t, and the builder that runs %s TLS: clients would wait for it in vain, and keep it. Upgrade when no builder runs, or with buildkitd.updateStrategy \"RollingUpdate\", by which Kubernetes replaces it, after its builds with buildkitd.drain.enabled" $is (ternary "speaks" "does not speak" $was)) -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* A quantity such as "50Gi" as a number. */}}
{{- define "buildkitd-stack.bytes" -}}
{{- $factors := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $unit := regexFind "[A-Za-z]*$" . -}}
{{- mulf (trimSuffix $unit .) (index $factors $unit) -}}
{{- end -}}
