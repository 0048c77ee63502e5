{{/* Names, labels and the parts that every Deployment shares. */}}

{{- define "pinakes.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select: they never change over a release's life. Argument: dict root, component. */}}
{{- define "pinakes.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "pinakes.labels" -}}
{{ include "pinakes.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: pinakes
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "pinakes.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "pinakes.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name an existing ServiceAccount, or set serviceAccount.create" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What stands or falls together; said before anything is made. */}}
{{- define "pinakes.check" -}}
{{- $_ := required "secrets.existingSecret: name a Secret with the keys of secrets.keys; docs/guides/kubernetes.md shows how to make one" .Values.secrets.existingSecret -}}
{{- $_ := required "settings.opensearch_urls: give OpenSearch's addresses, such as https://opensearch:9200" .Values.settings.opensearch_urls -}}
{{- range $setting := list "secret_key" "bootstrap_admin_key" -}}
{{- $_ := required (printf "secrets.keys.%s: say at which key of the Secret it is" $setting) (index $.Values.secrets.keys $setting) -}}
{{- end -}}
{{- range $store := list "cache" "queue" -}}
{{- $setting := printf "%s_url" $store -}}
{{- $given := default "" (index $.Values.settings $setting) -}}
{{- if and $given (index $.Values.secrets.keys $setting) -}}
{{- fail (printf "settings.%s and secrets.keys.%s: give the %s's address once" $setting $setting $store) -}}
{{- end -}}
{{- if regexMatch "//[^/]*@" $given -}}
{{- fail (printf "settings.%s has a password in it: put the address into the Secret and name its key in secrets.keys.%s" $setting $setting) -}}
{{- end -}}
{{- end -}}
{{- $_ := required "settings.queue_url: give the address of the queue's Redis, such as redis://redis-queue:6379/0, or name its key in secrets.keys.queue_url" (or .Values.settings.queue_url .Values.secrets.keys.queue_url) -}}
{{- if .Values.envoy.tls.enabled -}}
{{- $_ := required "envoy.tls.existingSecret: name a kubernetes.io/tls Secret, or set envoy.tls.enabled to false for clear text" .Values.envoy.tls.existingSecret -}}
{{- else if .Values.envoy.tls.clientCertificates -}}
{{- fail "envoy.tls.clientCertificates needs envoy.tls.enabled" -}}
{{- end -}}
{{- range $name := keys .Values.workers -}}
{{- if or (hasKey $.Values.servers $name) (eq $name "envoy") -}}
{{- fail (printf "workers.%s: the name is taken by a server" $name) -}}
{{- end -}}
{{- $worker := index $.Values.workers $name -}}
{{- with $worker.keda -}}
{{- if .enabled -}}
{{- $_ := required (printf "workers.%s.keda.prometheusUrl: give the address of the Prometheus that scrapes the workers" $name) .prometheusUrl -}}
{{- if (default dict $worker.autoscaling).enabled -}}
{{- fail (printf "workers.%s: autoscaling and keda exclude each other" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The environment of a server or worker. Arguments: root, settings. */}}
{{- define "pinakes.env" -}}
{{- $values := .root.Values -}}
- {name: PINAKES_LISTEN, value: "0.0.0.0:7300"}
- {name: PINAKES_METRICS_LISTEN, value: "0.0.0.0:9100"}
{{- range $setting, $value := .settings }}
{{- if not (or (kindIs "invalid" $value) (index $values.secrets.keys $setting)) }}
- name: {{ printf "PINAKES_%s" (upper $setting) }}
  value: {{ include "pinakes.text" $value | quote }}
{{- end }}
{{- end }}
{{- range $limit, $value := $values.limits }}
- name: {{ printf "PINAKES_LIMIT_%s" (upper $limit) }}
  value: {{ include "pinakes.text" $value | quote }}
{{- end }}
{{- if $values.opensearchCa.existingSecret }}
- {name: PINAKES_OPENSEARCH_CA_FILE, value: /etc/pinakes/opensearch-ca/ca.crt}
{{- end }}
{{- range $setting, $key := $values.secrets.keys }}
{{- if $key }}
- name: {{ printf "PINAKES_%s" (upper $setting) }}
  valueFrom:
    secretKeyRef:
      name: {{ $values.secrets.existingSecret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How many processes some components have at most. Arguments: root, components. */}}
{{- define "pinakes.processes" -}}
{{- $sum := 0 -}}
{{- range $component := .components -}}
{{- $replicas := $component.replicas -}}
{{- range $scaling := list $component.autoscaling $component.keda -}}
{{- if (default dict $scaling).enabled -}}
{{- $replicas = $scaling.maxReplicas -}}
{{- end -}}
{{- end -}}
{{- $settings := merge (deepCopy (default dict $component.settings)) $.root.Values.settings -}}
{{- $sum = add $sum (mul (int $replicas) (int (default 1 $settings.processes))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* Processes that hold callers to one limit: the servers have requests and searches, IndexService and the workers what is written. */}}
{{- define "pinakes.limitsProcesses" -}}
{{- $servers := include "pinakes.processes" (dict "root" . "components" (values .Values.servers)) -}}
{{- $writing := prepend (values .Values.workers) .Values.servers.index -}}
{{- max (int $servers) (int (include "pinakes.processes" (dict "root" . "components" $writing))) -}}
{{- end -}}

{{/* A value as the settings read it: whole numbers without an exponent. */}}
{{- define "pinakes.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* Pods over zones and nodes. Arguments: root, component (name). */}}
{{- define "pinakes.placement" -}}
topologySpreadConstraints:
  {{- range $label, $when := dict "topology.kubernetes.io/zone" .root.Values.topologySpread.zone "kubernetes.io/hostname" .root.Values.topologySpread.node }}
  - maxSkew: 1
    topologyKey: {{ $label }}
    whenUnsatisfiable: {{ $when }}
    # Pods of the revision before don't count, or a rolling update would be placed around them.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "pinakes.selector" $ | nindent 8 }}
  {{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "pinakes.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "pinakes.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "pinakes.image" -}}
{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end -}}

{{/* PodDisruptionBudget and autoscaler of a Deployment. Arguments: root, component (name), autoscaling. */}}
{{- define "pinakes.availability" -}}
{{- $name := printf "%s-%s" (include "pinakes.fullname" .root) .component }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels:
    {{- include "pinakes.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .root.Values.podDisruptionBudget.maxUnavailable }}
  # A pod that isn't ready serves nobody: it must not hold up a node's drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "pinakes.selector" . | nindent 6 }}
{{- with .autoscaling }}
{{- if .enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}
  labels:
    {{- include "pinakes.labels" $ | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $name }}
  minReplicas: {{ .minReplicas }}
  maxReplicas: {{ .maxReplicas }}
  metrics:
    {{- range $resource, $percent := dict "cpu" .cpuPercent "memory" .memoryPercent }}
    - type: Resource
      resource:
        name: {{ $resource }}
        target:
          type: Utilization
          averageUtilization: {{ $percent }}
    {{- end }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 300
{{- end }}
{{- end }}
{{- end -}}

{{/* Scales a worker by what waits in the queue, CPU, memory and the clock. Arguments: root, component (name), keda. */}}
{{- define "pinakes.keda" -}}
{{- $name := printf "%s-%s" (include "pinakes.fullname" .root) .component }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ $name }}
  labels:
    {{- include "pinakes.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ $name }}
  minReplicaCount: {{ .keda.minReplicas }}
  maxReplicaCount: {{ .keda.maxReplicas }}
  pollingInterval: {{ .keda.pollingSeconds }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: {{ .keda.cooldownSeconds }}
  triggers:
    - type: prometheus
      metadata:
        serverAddress: {{ .keda.prometheusUrl | quote }}
        # Whoever tells it tells it of the whole queue.
        query: max(pinakes_queue_documents{namespace={{ .root.Release.Namespace | quote }}})
        threshold: {{ .keda.writesPerReplica | int64 | quote }}
        # Without an answer the number of workers stays as it is.
        ignoreNullValues: "false"
    {{- range $resource, $percent := dict "cpu" .keda.cpuPercent "memory" .keda.memoryPercent }}
    - type: {{ $resource }}
      metricType: Utilization
      metadata:
        value: {{ $percent | quote }}
    {{- end }}
    {{- range .keda.schedule }}
    - type: cron
      metadata:
        timezone: {{ .timezone | quote }}
        start: {{ .start | quote }}
        end: {{ .end | quote }}
        desiredReplicas: {{ .replicas | quote }}
    {{- end }}
{{- end -}}
