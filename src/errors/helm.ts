/** Faults with the prefix `helm.`: charts, the program `helm`, and the cluster behind it. */
export const helmFaults = {
  'helm.not-configured': {
    retry: 'operator',
    says: (d: { deployment: string }) =>
      `${d.deployment} is a chart, and agent.yaml names no cluster for it`,
    remedy:
      'Name it: `runtimes: { helm: { kubeconfig: /etc/rancher/k3s/k3s.yaml } }` in agent.yaml, and start the agent again.',
  },
  'helm.missing': {
    retry: 'operator',
    says: (d: { path: string; reason: string }) => `helm cannot be run (${d.path}): ${d.reason}`,
    remedy:
      'Install helm 3.8 or newer, or name where it is: `runtimes: { helm: { path: /usr/local/bin/helm } }` in agent.yaml.',
  },
  'helm.kubeconfig': {
    retry: 'operator',
    says: (d: { path: string; reason: string }) => `the kubeconfig ${d.path}: ${d.reason}`,
    remedy:
      'Install the cluster, or correct runtimes.helm.kubeconfig in agent.yaml; the agent has to be able to read it.',
  },
  'helm.unreachable': {
    retry: 'later',
    says: (d: { what: string; reason: string }) =>
      `the cluster did not answer to ${d.what}: ${d.reason}`,
    remedy:
      'Look at the cluster (kubectl get nodes); it is asked again, and what runs there runs on.',
  },
  'helm.chart': {
    retry: 'never',
    says: (d: { deployment: string; component: string; reason: string }) =>
      `${d.deployment}: chart ${d.component}: ${d.reason}`,
    remedy:
      'Correct the chart, its revision or the properties of the component, and publish again.',
  },
  'helm.values': {
    retry: 'never',
    says: (d: { deployment: string; parameter: string; reason: string }) =>
      `${d.deployment}: parameter ${d.parameter}: ${d.reason}`,
    remedy: 'Correct the targets of the parameter: paths as for helm --set, each value once.',
  },
  'helm.namespace': {
    retry: 'never',
    says: (d: { deployment: string; namespace: string; allowed: string }) =>
      `${d.deployment} is for namespace ${d.namespace}, where this device installs nothing (${d.allowed})`,
    remedy: 'Publish for another namespace, or name it in runtimes.helm.namespaces of agent.yaml.',
  },
  'helm.failed': {
    retry: 'never',
    says: (d: { deployment: string; what: string; reason: string }) =>
      `${d.deployment}: helm ${d.what}: ${d.reason}`,
    remedy:
      'Look at the pods (kubectl -n NAMESPACE get pods,events), correct the chart or its parameters and publish again; the release before it is back.',
  },
  'helm.locked': {
    retry: 'later',
    says: (d: { release: string; status: string }) =>
      `release ${d.release} is ${d.status}, and could not be taken out of it`,
    remedy: 'Look at `helm history RELEASE`; it is tried again.',
  },
} as const;
