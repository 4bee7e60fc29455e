package main

import (
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// object is one of Kubernetes' with everything in it.
type object map[string]any

// at is what stands at a path of members, and of elements by their numbers.
func (o object) at(t *testing.T, path ...any) any {
	t.Helper()
	var v any = map[string]any(o)
	for _, step := range path {
		var there bool
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v, there = m[step]
		case int:
			l, _ := v.([]any)
			if there = step < len(l); there {
				v = l[step]
			}
		}
		if !there {
			t.Fatalf("expected %v, found no %v", path, step)
		}
	}
	return v
}

// texts are the elements of a list.
func texts(t *testing.T, list any) (all []string) {
	t.Helper()
	for _, v := range list.([]any) {
		all = append(all, v.(string))
	}
	return all
}

// manifests are the objects of an example's file, by kind and name.
func manifests(t *testing.T, file string) map[string]object {
	t.Helper()
	all := map[string]object{}
	for d := yaml.NewDecoder(strings.NewReader(readFile(t, "../../examples/kubernetes/"+file))); ; {
		var members map[string]any
		err := d.Decode(&members)
		if errors.Is(err, io.EOF) {
			return all
		}
		e2etest.NoError(t, err)
		one := object(members)
		all[one.at(t, "kind").(string)+" "+one.at(t, "metadata", "name").(string)] = one
	}
}

// workerOf is the container of a StatefulSet, whose probes ask for its health; its data folder is a volume.
func workerOf(t *testing.T, set object) (container object, args []string, mounts map[string]map[string]any) {
	t.Helper()
	container = set.at(t, "spec", "template", "spec", "containers", 0).(map[string]any)
	for _, name := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		if container.at(t, name, "httpGet", "path") != "/health" ||
			container.at(t, name, "httpGet", "port") != container.at(t, "ports", 0, "name") {
			t.Errorf("%s: found %v", name, container.at(t, name))
		}
	}
	mounts = map[string]map[string]any{}
	for _, m := range container.at(t, "volumeMounts").([]any) {
		mounts[m.(map[string]any)["mountPath"].(string)] = m.(map[string]any)
	}
	args = texts(t, container.at(t, "args"))
	if _, data := runLine(t, "args", args); mounts[data] == nil || mounts[data]["readOnly"] == true {
		t.Errorf("expected a volume at %s, found %v", data, mounts)
	}
	return container, args, mounts
}

// What the manifests name is there: flags, folders, volumes, ports and paths.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	all := manifests(t, "culvert.yaml")
	set := all["StatefulSet culvert"]
	container, args, mounts := workerOf(t, set)
	configuration, data := runLine(t, "args", args)
	if len(all) != 4 || set.at(t, "spec", "replicas") != 1 {
		t.Errorf("a data folder belongs to one worker, found %v of %d objects", set.at(t, "spec", "replicas"), len(all))
	}
	if mounts[data]["name"] != set.at(t, "spec", "volumeClaimTemplates", 0, "metadata", "name") ||
		mounts[configuration]["name"] != set.at(t, "spec", "template", "spec", "volumes", 0, "name") ||
		mounts[configuration]["readOnly"] != true ||
		all["ConfigMap "+set.at(t, "spec", "template", "spec", "volumes", 0, "configMap", "name").(string)] == nil ||
		all["Secret "+set.at(t, "spec", "template", "spec", "volumes", 1, "secret", "secretName").(string)] == nil {
		t.Errorf("mounts %v: expected %s to be the claim, and %s the ConfigMap", mounts, data, configuration)
	}
	scraped := set.at(t, "spec", "template", "metadata", "annotations", "prometheus.io/path").(string)
	for _, path := range []string{"/health", scraped} {
		if !strings.Contains(readFile(t, "reference/rest.md"), path) {
			t.Errorf("REST has no %q", path)
		}
	}
	service := object(all["Service culvert"].at(t, "spec", "ports", 0).(map[string]any))
	if service["targetPort"] != container.at(t, "ports", 0, "name") ||
		service["port"] != container.at(t, "ports", 0, "containerPort") || service["port"] != 8083 ||
		!strings.Contains(all["ConfigMap culvert"].at(t, "data", "worker.properties").(string), "listeners=http://:8083\n") {
		t.Errorf("the Service leads to %v, the container has %v", service, container.at(t, "ports"))
	}
	user := object(set.at(t, "spec", "template", "spec", "securityContext").(map[string]any))
	if user["runAsNonRoot"] != true || user["runAsUser"] == 0 || user["fsGroup"] != user["runAsUser"] ||
		user["fsGroupChangePolicy"] != "OnRootMismatch" ||
		container.at(t, "securityContext", "readOnlyRootFilesystem") != true ||
		container.at(t, "resources", "limits", "memory") == "" {
		t.Errorf("found %v, %v", user, container)
	}
}

// What the manifests of a group name is there: settings, flags, commands, folders, and each other.
func TestKubernetesGroup(t *testing.T) {
	t.Parallel()
	all := manifests(t, "group.yaml")
	set := all["StatefulSet culvert"]
	peers := set.at(t, "spec", "serviceName").(string)
	labels := set.at(t, "spec", "template", "metadata", "labels", "app.kubernetes.io/name")
	for _, of := range []object{all["Service culvert"], all["Service "+peers]} {
		if of.at(t, "spec", "selector", "app.kubernetes.io/name") != labels {
			t.Errorf("expected a Service of the pods, found %v", of)
		}
	}
	if all["Service "+peers].at(t, "spec", "clusterIP") != "None" ||
		all["PodDisruptionBudget culvert"].at(t, "spec", "selector", "matchLabels", "app.kubernetes.io/name") != labels ||
		all["PodDisruptionBudget culvert"].at(t, "spec", "maxUnavailable") != 1 {
		t.Errorf("expected a Service with a name for each pod, and that one of them is missing at a time")
	}
	scaler := all["HorizontalPodAutoscaler culvert"]
	replicas := set.at(t, "spec", "replicas").(int)
	target := scaler.at(t, "spec", "scaleTargetRef").(map[string]any)
	if target["kind"] != "StatefulSet" || target["name"] != set.at(t, "metadata", "name") ||
		scaler.at(t, "spec", "minReplicas") != replicas || scaler.at(t, "spec", "maxReplicas").(int) <= replicas {
		t.Errorf("expected the autoscaler to scale the %d workers, found %v", replicas, scaler)
	}
	readme := readFile(t, "../../examples/kubernetes/README.md")
	metric := scaler.at(t, "spec", "metrics", 1, "pods", "metric", "name").(string)
	rule, figures := regexp.MustCompile(`(?s)seriesQuery: (\w+).*?metricsQuery: >-(.*?)`+"```").FindStringSubmatch(readme),
		readFile(t, "reference/metrics.md")
	if !strings.Contains(readme, "name: {as: "+metric+"}") || rule == nil {
		t.Fatalf("expected a rule of the README for %s, found %v", metric, rule)
	}
	// It counts tasks that can work and have work left: others say nothing, which is no work.
	if query := strings.Join(strings.Fields(rule[2]), " "); query != "sum by (<<.GroupBy>>) "+
		"(1 - <<.Series>>{<<.LabelMatchers>>}) or sum by (<<.GroupBy>>) "+
		"(0 * kafka_connect_worker_task_count{<<.LabelMatchers>>})" ||
		!strings.Contains(figures, "`"+rule[1]+"` | gauge | `connector`, `task` | 1 while a task has nothing left to do, "+
			"else 0. It is there for RUNNING tasks alone") ||
		!strings.Contains(figures, "`kafka_connect_worker_task_count` | gauge |  | ") {
		t.Errorf("expected figures that mean what the rule takes them for, found %s of %s", query, rule[1])
	}

	container, args, mounts := workerOf(t, set)
	file := args[len(args)-1]
	if mounts[filepath.Dir(file)] == nil {
		t.Errorf("expected a volume at the folder of %s, found %v", file, mounts)
	}
	hook := texts(t, container.at(t, "lifecycle", "preStop", "exec", "command"))
	command, rest, err := newRoot(t.Context(), nil).Find(hook[1:])
	if err == nil {
		err = command.ParseFlags(rest)
	}
	if err != nil || command.Name() != "drain" || !slices.ContainsFunc(dockerfile(t), func(i instruction) bool {
		return i.name == "ENTRYPOINT" && strings.Contains(i.rest, `"`+hook[0]+`"`)
	}) {
		t.Errorf("expected culvert drain as preStop, found %q: %v", hook, err)
	}

	// The worker's file and the environment are those of a worker of a group, without a warning.
	text := all["ConfigMap culvert"].at(t, "data", filepath.Base(file)).(string)
	entries, problems := config.Read(file, []byte(text))
	environ := []string{}
	for _, v := range container.at(t, "env").([]any) {
		name := v.(map[string]any)["name"].(string)
		environ = append(environ, name+"="+strings.ToLower(name))
	}
	w, more := config.NewWorker(file, entries, environ, nil)
	for _, p := range append(problems, more...) {
		t.Errorf("%v", p)
	}
	if !w.InGroup() || w.Text("group.instance.id") == "" {
		t.Error("expected a worker of a group with a name of its own")
	}
	if set.at(t, "spec", "template", "spec", "enableServiceLinks") != false {
		t.Error("expected no variables CULVERT_… of the Service, which are settings that nobody knows")
	}
	address := container.at(t, "env", 2, "value").(string)
	if w.Text("rest.advertised.host.name") == "" || !strings.HasSuffix(address, "."+peers+".$(POD_NAMESPACE).svc") {
		t.Errorf("expected the name of the pod by Service %s, found %s", peers, address)
	}
	if !strings.Contains(text, "param.allowed.paths=/run/secrets\n") || mounts["/run/secrets/sap"] == nil {
		t.Error("expected secrets where the provider may read them")
	}
}
