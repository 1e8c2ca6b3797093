{{/* A Service in front of the Pods: takes root, name and its values. */}}
{{- define "bywash.service" -}}
{{- $service := .service -}}
{{- $controller := .root.Values.controller -}}
{{- $appProtocol := hasKey $service "appProtocol" | ternary $service.appProtocol $controller.service.appProtocol -}}
{{- $nodePorts := eq .type "ClusterIP" | ternary dict $service.nodePorts -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ include "bywash.namespace" .root }}
  labels:
    {{- include "bywash.labels" .root | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .type }}
  {{- range $field := list "clusterIP" "clusterIPs" "externalIPs" "loadBalancerIP" "loadBalancerClass" "loadBalancerSourceRanges" "externalTrafficPolicy" "internalTrafficPolicy" "sessionAffinity" "healthCheckNodePort" "ipFamilyPolicy" "ipFamilies" "trafficDistribution" "allocateLoadBalancerNodePorts" }}
  {{- $value := get $service $field }}
  {{- if or $value (and (kindIs "bool" $value) (eq $field "allocateLoadBalancerNodePorts")) }}
  {{ $field }}: {{ toJson $value }}
  {{- end }}
  {{- end }}
  selector:
    {{- include "bywash.selectorLabels" .root | nindent 4 }}
  ports:
  {{- range $port := list "http" "https" }}
  {{- if get $controller.service (printf "enable%s" (title $port)) }}
  - name: {{ $port }}
    port: {{ get $service.ports $port }}
    targetPort: {{ get $service.targetPorts $port }}
    protocol: TCP
    {{- if $appProtocol }}
    appProtocol: {{ $port }}
    {{- end }}
    {{- with get (default dict $nodePorts) $port }}
    nodePort: {{ . }}
    {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}
