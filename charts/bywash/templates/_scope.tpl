{{/* What is watched, and which flags and rights follow from it. */}}
{{- define "bywash.watchedNamespace" -}}
{{- if .Values.controller.scope.enabled -}}
{{- default (include "bywash.namespace" .) .Values.controller.scope.namespace -}}
{{- end -}}
{{- end -}}

{{/* The Service whose addresses are published, as NAMESPACE/NAME; none: those of the nodes. */}}
{{- define "bywash.publishedService" -}}
{{- $publish := .Values.controller.publishService -}}
{{- $service := .Values.controller.service -}}
{{- $internal := $service.internal.enabled -}}
{{- if or (not $publish.enabled) (hasKey (default dict .Values.controller.extraArgs) "publish-address") -}}
{{- else if $publish.pathOverride -}}
{{- $publish.pathOverride -}}
{{- else if and $service.enabled (or $internal $service.external.enabled) -}}
{{- $own := include "bywash.fullname" . -}}
{{- if not $service.external.enabled -}}
{{- $own = printf "%s-internal" $own -}}
{{- end -}}
{{- include "bywash.namespace" . }}/{{ $own -}}
{{- end -}}
{{- end -}}

{{/* "true" where the addresses of nodes are published; those of all namespaces need a right on nodes for it. */}}
{{- define "bywash.publishesNodes" -}}
{{- $extra := default dict .Values.controller.extraArgs -}}
{{- $said := or (hasKey $extra "publish-address") (eq (get $extra "update-status" | toString) "false") -}}
{{- if not (or (include "bywash.publishedService" .) $said) -}}true{{- end -}}
{{- end -}}

{{/* How long what is in flight may take: what the grace period leaves, less 5 s to say goodbye. */}}
{{- define "bywash.drainTimeout" -}}
{{- $preStop := dig "preStop" "sleep" "seconds" 0 (default dict .Values.controller.lifecycle) | int -}}
{{- sub (int .Values.controller.terminationGracePeriodSeconds) (add (int .Values.controller.drainDelaySeconds) $preStop 5) -}}
{{- end -}}

{{- define "bywash.classPolicy" -}}
{{- $parameters := .Values.controller.ingressClassResource.parameters -}}
{{- with $parameters -}}
{{- default (default (include "bywash.namespace" $) (include "bywash.watchedNamespace" $)) .namespace }}/{{ .name -}}
{{- end -}}
{{- end -}}

{{/* The command line, as a map, so that extraArgs have the last word. */}}
{{- define "bywash.arguments" -}}
{{- $controller := .Values.controller -}}
{{- $class := $controller.ingressClassResource -}}
{{- $arguments := dict
  "http-address" (printf ":%d" (int $controller.containerPort.http))
  "https-address" (printf ":%d" (int $controller.containerPort.https))
  "metrics-address" (printf ":%d" (int $controller.metrics.port))
  "ingress-class" $class.name
  "controller-name" $class.controllerValue
  "drain-delay" (printf "%ds" (int $controller.drainDelaySeconds))
  "drain-timeout" (printf "%ss" (include "bywash.drainTimeout" .))
-}}
{{- with include "bywash.watchedNamespace" . -}}
{{- $_ := set $arguments "watch-namespace" . -}}
{{- if $class.default -}}{{- $_ := set $arguments "default-class" "true" -}}{{- end -}}
{{- with include "bywash.classPolicy" $ -}}{{- $_ := set $arguments "class-policy" . -}}{{- end -}}
{{- end -}}
{{- if eq .Values.rbac.secretAccess "namespaces" -}}
{{- $_ := set $arguments "secret-namespaces" (join "," .Values.rbac.secretNamespaces) -}}
{{- end -}}
{{- with include "bywash.publishedService" . -}}{{- $_ := set $arguments "publish-service" . -}}{{- end -}}
{{- if include "bywash.publishesNodes" . -}}{{- $_ := set $arguments "publish-node-addresses" "" -}}{{- end -}}
{{- range $flag, $value := $controller.extraArgs -}}
{{- if has $flag (list "access-log-query" "allow-external-name") -}}
{{- if ne (toString $value) "false" -}}{{- $_ := set $arguments $flag "" -}}{{- end -}}
{{- else if kindIs "string" $value -}}
{{- $_ := set $arguments $flag $value -}}
{{- else -}}
{{- $_ := set $arguments $flag (toJson $value) -}}
{{- end -}}
{{- end -}}
{{- range $flag, $value := $arguments }}
- --{{ $flag }}{{ with $value }}={{ . }}{{ end }}
{{- end }}
{{- end -}}
