{{/* "true" if a value says anything: an empty one, or one that is not enabled, does not. */}}
{{- define "bywash.says" -}}
{{- if kindIs "map" . -}}
{{- if dig "enabled" true . -}}
{{- range . -}}{{- include "bywash.says" . -}}{{- end -}}
{{- end -}}
{{- else if . -}}true{{- end -}}
{{- end -}}

{{/*
"true" if the value at a path is said: takes values and path. A flag is said by its name, as enable-ssl-passthrough is
with an empty value; a map of settings by any setting, because there "false" means something too.
*/}}
{{- define "bywash.said" -}}
{{- $keys := splitList "." .path -}}
{{- $section := .values -}}
{{- range initial $keys -}}
{{- if kindIs "map" $section -}}{{- $section = get $section . -}}{{- end -}}
{{- end -}}
{{- if kindIs "map" $section -}}
{{- $value := get $section (last $keys) -}}
{{- if hasPrefix "controller.extraArgs." .path -}}
{{- if hasKey $section (last $keys) -}}true{{- end -}}
{{- else if has .path (list "tcp" "udp" "controller.config" "controller.configAnnotations" "controller.addHeaders" "controller.proxySetHeaders") -}}
{{- if $value -}}true{{- end -}}
{{- else -}}
{{- include "bywash.says" $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Values of ingress-nginx's chart that have no counterpart, and what to write instead. */}}
{{- define "bywash.replacements" -}}
tcp: Bywash serves HTTP and HTTPS; put a Service of type LoadBalancer in front of TCP
udp: Bywash serves HTTP and HTTPS; put a Service of type LoadBalancer in front of UDP
portNamePrefix: leave it out; there are no ports for TCP and UDP
dhParam: leave it out; only key exchanges over elliptic curves are offered
defaultBackend: write spec.defaultBackend of an Ingress, or errorPages of a GatewayPolicy
podSecurityPolicy: label the namespace with pod-security.kubernetes.io/enforce
controller.config: write a GatewayPolicy and name it in controller.ingressClassResource.parameters, or a flag in controller.extraArgs
controller.configAnnotations: leave it out; there is no ConfigMap
controller.configMapNamespace: leave it out; there is no ConfigMap
controller.proxySetHeaders: leave it out; X-Forwarded-* are always set, see controller.extraArgs.trusted-proxies
controller.addHeaders: let the application set them; Bywash changes no answer that is valid
controller.admissionWebhooks: leave it out; the API server itself checks policies, and `bywash check` checks Ingresses in a pipeline
controller.allowSnippetAnnotations: write a GatewayPolicy; annotations have no effect
controller.enableAnnotationValidations: leave it out; annotations have no effect
controller.tcp: Bywash serves HTTP and HTTPS; put a Service of type LoadBalancer in front of TCP
controller.udp: Bywash serves HTTP and HTTPS; put a Service of type LoadBalancer in front of UDP
controller.customTemplate: write errorPages of a GatewayPolicy; nothing else is a template
controller.maxmindLicenseKey: let the load balancer in front say where a client is
controller.extraModules: leave it out; there are no modules
controller.opentelemetry: set OTEL_EXPORTER_OTLP_ENDPOINT in controller.extraEnvs
controller.keda: write a ScaledObject for the Deployment, and controller.replicaCount=null
controller.existingPsp: label the namespace with pod-security.kubernetes.io/enforce
controller.sysctls: write controller.podSecurityContext.sysctls
controller.electionID: leave it out; the Lease is named for controllerValue and name of controller.ingressClassResource
controller.electionTTL: leave it out; a leader that ends hands over at once
controller.disableLeaderElection: leave it out; a single replica leads by itself
controller.healthCheckPath: leave it out; it is /readyz
controller.healthCheckHost: leave it out; the probes are at controller.metrics.port
controller.hostname: leave it out; a Pod is called by its name
controller.shareProcessNamespace: leave it out; there is one process
controller.ingressClass: write controller.ingressClassResource.name
controller.ingressClassByName: leave it out; controller.ingressClassResource names the only class
controller.watchIngressWithoutClass: write controller.ingressClassResource.default
controller.reportNodeInternalIp: leave it out; external addresses of nodes go before internal ones
controller.enableTopologyAwareRouting: write controller.service.trafficDistribution
controller.enableMimalloc: leave it out; another allocator is built in
controller.lifecycle.preStop.exec: leave it out; the image has no other program, and controller.drainDelaySeconds waits
controller.scope.namespaceSelector: write controller.scope.namespace, or rbac.secretAccess
controller.ingressClassResource.aliases: install the chart once for each class
controller.image.image: leave controller.image out; it names another program
controller.image.chroot: leave it out; nothing has to be kept apart
controller.image.digestChroot: leave it out; nothing has to be kept apart
controller.image.runAsNonRoot: write controller.containerSecurityContext.runAsNonRoot
controller.image.runAsUser: write controller.containerSecurityContext.runAsUser
controller.image.runAsGroup: write controller.containerSecurityContext.runAsGroup
controller.image.allowPrivilegeEscalation: write controller.containerSecurityContext.allowPrivilegeEscalation
controller.image.readOnlyRootFilesystem: write controller.containerSecurityContext.readOnlyRootFilesystem
controller.image.seccompProfile: write controller.containerSecurityContext.seccompProfile
controller.livenessProbe.httpGet: leave it out; it is /livez at controller.metrics.port
controller.readinessProbe.httpGet: leave it out; it is /readyz at controller.metrics.port
controller.startupProbe.httpGet: leave it out; it is /livez at controller.metrics.port
controller.service.nodePorts.tcp: Bywash serves HTTP and HTTPS
controller.service.nodePorts.udp: Bywash serves HTTP and HTTPS
controller.service.internal.nodePorts.tcp: Bywash serves HTTP and HTTPS
controller.service.internal.nodePorts.udp: Bywash serves HTTP and HTTPS
controller.extraArgs.default-ssl-certificate: write default-tls-secret
controller.extraArgs.publish-status-address: write publish-address
controller.extraArgs.enable-ssl-passthrough: leave it out; TLS ends here, and upstreamTls of a GatewayPolicy begins it again
controller.extraArgs.watch-ingress-without-class: write controller.ingressClassResource.default
controller.extraArgs.election-id: leave it out
controller.extraArgs.watch-namespace: write controller.scope.namespace, with which the rights go
controller.extraArgs.secret-namespaces: write rbac.secretNamespaces, with which the rights go
controller.extraArgs.publish-service: write controller.publishService.pathOverride, with which the rights go
controller.extraArgs.publish-node-addresses: write controller.publishService.enabled=false, with which the rights go
{{- end -}}

{{/* Ends the rendering with one line for each value that cannot be meant. */}}
{{- define "bywash.refuse" -}}
{{- $problems := list -}}
{{- range $path, $instead := include "bywash.replacements" . | fromYaml -}}
{{- if include "bywash.said" (dict "values" $.Values "path" $path) -}}
{{- $problems = append $problems (printf "%s: %s" $path $instead) -}}
{{- end -}}
{{- end -}}
{{- range include "bywash.contradictions" . | fromYamlArray -}}
{{- $problems = append $problems . -}}
{{- end -}}
{{- with $problems -}}
{{- fail (printf "these values cannot be meant:\n  %s\n" (join "\n  " .)) -}}
{{- end -}}
{{- end -}}

{{/* Values that exclude each other. */}}
{{- define "bywash.contradictions" -}}
{{- $controller := .Values.controller -}}
{{- $drain := include "bywash.drainTimeout" . | int -}}
{{- range $port, $number := $controller.containerPort }}
{{- if lt (int $number) 1024 }}
- "controller.containerPort.{{ $port }}: choose 1024 or more, because no capability is held; controller.service.ports and controller.hostPort.ports may be any"
{{- end }}
{{- end }}
{{- if and $controller.hostNetwork $controller.hostPort.enabled }}
{{- range $port, $number := $controller.hostPort.ports }}
{{- $taken := get $controller.containerPort $port }}
{{- if ne (int $number) (int $taken) }}
- "controller.hostPort.ports.{{ $port }}: write {{ $taken }}, as controller.containerPort.{{ $port }}, or leave controller.hostNetwork out: in the network of its node a Pod takes its own ports and no others"
{{- end }}
{{- end }}
{{- end }}
{{- if kindIs "invalid" $controller.readinessProbe }}
- "controller.readinessProbe: keep it; without one a Pod would get requests before it can answer them"
{{- end }}
{{- if lt $drain 1 }}
- "controller.terminationGracePeriodSeconds: choose more than {{ sub (int $controller.terminationGracePeriodSeconds) $drain }}, which are over before what is in flight may finish"
{{- end }}
{{- if and $controller.autoscaling.enabled (ne $controller.kind "Deployment") }}
- "controller.autoscaling.enabled: only a Deployment can be scaled; a DaemonSet has a Pod on each node"
{{- end }}
{{- if and .Values.rbac.scope (not $controller.scope.enabled) }}
- "rbac.scope: write controller.scope.enabled, with which no ClusterRole is made"
{{- end }}
{{- if and (eq .Values.rbac.secretAccess "namespaces") $controller.scope.enabled }}
- "rbac.secretAccess: leave it out; with controller.scope.enabled no other namespace is read"
{{- end }}
{{- if and (eq .Values.rbac.secretAccess "namespaces") (not .Values.rbac.secretNamespaces) }}
- "rbac.secretNamespaces: name the namespaces with certificates, or leave rbac.secretAccess at cluster"
{{- end }}
{{- if and .Values.rbac.secretNamespaces (ne .Values.rbac.secretAccess "namespaces") }}
- "rbac.secretAccess: write namespaces, or leave rbac.secretNamespaces out"
{{- end }}
{{- if and $controller.metrics.serviceMonitor.enabled (not (and $controller.metrics.enabled $controller.metrics.service.enabled)) }}
- "controller.metrics.serviceMonitor.enabled: write controller.metrics.enabled too, for the Service that it selects, or enable controller.metrics.podMonitor"
{{- end }}
{{- with $controller.ingressClassResource.parameters }}
{{- if not .name }}
- "controller.ingressClassResource.parameters.name: name the GatewayPolicy with the defaults of the class"
{{- end }}
{{- end }}
{{- $watched := include "bywash.watchedNamespace" . }}
{{- $defaults := include "bywash.classPolicy" . }}
{{- if and $watched $defaults (ne (splitList "/" $defaults | first) $watched) }}
- "controller.ingressClassResource.parameters.namespace: leave it out; with controller.scope.enabled it is {{ $watched }}"
{{- end }}
{{- with $controller.publishService.pathOverride }}
{{- if ne (len (splitList "/" .)) 2 }}
- "controller.publishService.pathOverride: write NAMESPACE/NAME"
{{- end }}
{{- end }}
{{- end -}}
