package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/e2etest"
)

// checkRunLine checks that the program accepts a command line of culvert run, and returns the folders in it.
func checkRunLine(t *testing.T, place string, line []string) (configuration, data string) {
	t.Helper()
	command, flags, err := newRoot(t.Context(), nil).Find(line)
	if err == nil {
		err = command.ParseFlags(flags)
	}
	if err == nil && command.Name() != "run" {
		err = errors.New("it runs no worker")
	}
	require.True(t, err == nil, "%s: %q: %v", place, line, err)
	configuration, _ = command.Flags().GetString("config")
	data, _ = command.Flags().GetString("data")
	return configuration, data
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}

// The systemd unit runs the packaged program, with folders that it allows the service to read and write.
func TestServiceUnit(t *testing.T) {
	t.Parallel()
	unit := map[string]string{}
	for line := range strings.Lines(readFile(t, "../dist/culvert.service")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			unit[name] = value
		}
	}
	line := strings.Fields(unit["ExecStart"])
	require.True(t, len(line) != 0 && strings.Contains(readFile(t, "../dist/nfpm.yaml"), "dst: "+line[0]+"\n"),
		"ExecStart=%s: expected the program in the packages", unit["ExecStart"])
	configuration, data := checkRunLine(t, "ExecStart", line[1:])
	warm := "-" + line[0] + " plugins warm --config " + configuration + " --data " + data
	assert.Equal(t, warm, unit["ExecStartPre"], "ExecStartPre")
	for name, want := range map[string]string{
		"ConfigurationDirectory": strings.TrimPrefix(configuration, "/etc/"),
		"StateDirectory":         strings.TrimPrefix(data, "/var/lib/"),
		"DynamicUser":            "yes",
		"ProtectSystem":          "strict",
		"NoNewPrivileges":        "yes",
		"LimitCORE":              "0", // a core file contains passwords
		"CapabilityBoundingSet":  "",
		"Environment":            "XDG_CACHE_HOME=" + filepath.Dir(data),
	} {
		got, ok := unit[name]
		assert.True(t, ok && got == want, "%s: expected %q, found %q", name, want, got)
	}
	// Compiled plugins are written to memory, then executed.
	_, ok := unit["MemoryDenyWriteExecute"]
	assert.True(t, !ok, "expected no MemoryDenyWriteExecute, with which no plugin runs")
}

// instruction is a line of a Dockerfile.
type instruction struct{ name, arguments string }

func dockerfileInstructions(t *testing.T) (list []instruction) {
	t.Helper()
	for line := range strings.Lines(readFile(t, "../dist/Dockerfile")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			name, arguments, _ := strings.Cut(line, " ")
			list = append(list, instruction{name: name, arguments: arguments})
		}
	}
	return list
}

// The files that the Dockerfile copies exist or are built before, the program accepts its command line, and the user is
// not root.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	makefile := readFile(t, "../../Makefile")
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "../../go.mod"))[1]
	var user, volume string
	isWarmed := false
	var command []string
	isCreated := map[string]bool{}
	isCopied := map[string]bool{}
	stages := []string{}
	for _, i := range dockerfileInstructions(t) {
		words := strings.Fields(i.arguments)
		switch i.name {
		case "FROM":
			stages = append(stages, words[0])
			user = ""
		case "COPY":
			from := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "--") })
			isCopied[from[len(from)-1]] = true
			for _, source := range from[:len(from)-1] {
				if strings.Contains(i.arguments, "--from=build") {
					assert.True(t, isCreated[source],
						"COPY %s: expected a RUN that creates %s, found none", i.arguments, source)
				} else if _, err := os.Stat(filepath.Join("../..", source)); err != nil {
					t.Error(err)
				}
			}
		case "RUN":
			if words[0] == "make" {
				assert.True(t, strings.Contains(makefile, "\n"+words[1]+": "),
					"RUN %s: expected a rule of the Makefile", i.arguments)
				isCreated["/src/"+words[1]] = true
			}
			isWarmed = isWarmed || strings.HasPrefix(i.arguments, "bin/culvert plugins warm "+
				"--set cache.dir=/made/var/cache/culvert ")
			if words[0] == "mkdir" {
				for _, dir := range words[2:] {
					isCreated[dir] = true
				}
			}
		case "ENV":
			if cache, ok := strings.CutPrefix(i.arguments, "CULVERT_CACHE_DIR="); ok {
				isWarmed = isCopied[cache] && isWarmed
			}
		case "USER":
			user = i.arguments
		case "VOLUME":
			volume = i.arguments
		case "ENTRYPOINT", "CMD":
			var part []string
			err := json.Unmarshal([]byte(i.arguments), &part)
			assert.NoError(t, err, i.name, i.arguments, "a list, since there is no shell")
			command = append(command, part...)
		}
	}
	assert.True(t, len(stages) == 4 && strings.HasPrefix(stages[0], "golang:"+version+"-") &&
		strings.Contains(stages[1], "distroless/static") && strings.Contains(stages[2], "distroless/cc") &&
		stages[3] == "base$TAGS",
		"expected Go %s, an image without a shell, and one that has the C and C++ libraries besides, found %q", version,
		stages)
	assert.True(t, regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user),
		"USER: expected numbers, which a cluster can tell from root's, found %q", user)
	assert.True(t, isWarmed,
		"expected that plugins are compiled into a folder that is copied and that CULVERT_CACHE_DIR names")
	require.True(t, len(command) != 0 && isCopied[command[0]], "ENTRYPOINT: expected %q in the image", command)
	configuration, data := checkRunLine(t, "Dockerfile", command[1:])
	assert.True(t, data == volume && isCopied[data] && isCopied[configuration],
		"expected the folders %s and %s in the image, and the second as the volume %s", configuration, data, volume)
}

// The files of the ConfigMap pass the README's check without a warning, although no secret is mounted.
func TestKubernetesReadme(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	files := manifests(t, "culvert.yaml")["ConfigMap culvert"].value(t, "data").(map[string]any)
	for name, content := range files {
		p.File(name, content.(string))
	}
	check := regexp.MustCompile(`(?m)^culvert (validate .*?)(?: *#.*)?$`).FindStringSubmatch(
		readFile(t, "../../examples/kubernetes/README.md"))
	require.True(t, check != nil, "expected a check in the README, found none")
	args := strings.Fields(check[1])
	for i, arg := range args {
		if strings.HasSuffix(arg, ".properties") {
			args[i] = filepath.Join(p.Dir, arg)
		}
	}
	if r := p.Run(append(args, "--plugins", e2etest.Plugins(t))...); r.Code != exitDone || r.Stdout != "" ||
		!strings.Contains(r.Stderr, ": ok: orders") {
		t.Errorf("culvert %s: expected exit code 0 and no problem, found %d\n%s%s", check[1], r.Code, r.Stdout,
			r.Stderr)
	}
}

// The worker configuration of the packages is valid.
func TestPackagedSettings(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	worker := p.File("worker.properties", readFile(t, "../dist/worker.properties"))
	connector := p.File("orders.properties", readFile(t, "../../examples/tour/orders.properties"))
	r := p.Run("validate", "--plugins", e2etest.Plugins(t), worker, connector)
	assert.True(t, r.Code == exitDone && r.Stdout == "",
		"expected exit code 0 and no warning, found %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	example := regexp.MustCompile(`/usr/share/doc/culvert/(examples\S+\.properties)`)
	for _, m := range example.FindAllStringSubmatch(readFile(t, "../dist/worker.properties"), -1) {
		readFile(t, "../../"+m[1]) // it must exist
	}
	assert.True(t, !strings.Contains(readFile(t, "../dist/postinstall.sh"), "systemctl start"),
		"expected that the installation of the package does not start the service")
}

// object is a Kubernetes object.
type object map[string]any

// value returns the value at a path of members and list indexes.
func (o object) value(t *testing.T, path ...any) any {
	t.Helper()
	var v any = map[string]any(o)
	for _, step := range path {
		var exists bool
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v, exists = m[step]
		case int:
			l, _ := v.([]any)
			if exists = step < len(l); exists {
				v = l[step]
			}
		}
		require.True(t, exists, "expected %v, found no %v", path, step)
	}
	return v
}

// texts returns the elements of a list as strings.
func texts(t *testing.T, list any) (items []string) {
	t.Helper()
	for _, v := range list.([]any) {
		items = append(items, v.(string))
	}
	return items
}

// manifests returns the objects of an example's file by kind and name.
func manifests(t *testing.T, file string) map[string]object {
	t.Helper()
	objects := map[string]object{}
	for d := yaml.NewDecoder(strings.NewReader(readFile(t, "../../examples/kubernetes/"+file))); ; {
		var members map[string]any
		err := d.Decode(&members)
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		document := object(members)
		objects[document.value(t, "kind").(string)+" "+document.value(t, "metadata", "name").(string)] = document
	}
}

// checkContainer checks that the probes of a StatefulSet's container use /health and that its data folder is a volume.
// It returns the container with its arguments and its mounts by path.
func checkContainer(t *testing.T, set object) (container object, args []string, mounts map[string]map[string]any) {
	t.Helper()
	container = set.value(t, "spec", "template", "spec", "containers", 0).(map[string]any)
	for _, name := range []string{"startupProbe", "readinessProbe", "livenessProbe"} {
		if container.value(t, name, "httpGet", "path") != "/health" ||
			container.value(t, name, "httpGet", "port") != container.value(t, "ports", 0, "name") {
			t.Errorf("%s: expected /health at the port of the container, found %v", name, container.value(t, name))
		}
	}
	mounts = map[string]map[string]any{}
	for _, m := range container.value(t, "volumeMounts").([]any) {
		mounts[m.(map[string]any)["mountPath"].(string)] = m.(map[string]any)
	}
	args = texts(t, container.value(t, "args"))
	if _, data := checkRunLine(t, "args", args); mounts[data] == nil || mounts[data]["readOnly"] == true {
		t.Errorf("expected a volume at %s, found %v", data, mounts)
	}
	return container, args, mounts
}

// Flags, folders, volumes, ports and paths in the manifest of one worker exist.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	objects := manifests(t, "culvert.yaml")
	set := objects["StatefulSet culvert"]
	container, args, mounts := checkContainer(t, set)
	configuration, data := checkRunLine(t, "args", args)
	if len(objects) != 4 || set.value(t, "spec", "replicas") != 1 {
		t.Errorf("expected one replica, since a data folder belongs to one worker, and 4 objects; found %v, %d",
			set.value(t, "spec", "replicas"), len(objects))
	}
	pod := object(set.value(t, "spec", "template", "spec").(map[string]any))
	configMap := pod.value(t, "volumes", 0, "configMap", "name").(string)
	secret := pod.value(t, "volumes", 1, "secret", "secretName").(string)
	assert.True(t, objects["ConfigMap "+configMap] != nil && objects["Secret "+secret] != nil,
		"expected the ConfigMap %s and the Secret %s, found neither or one", configMap, secret)
	assert.True(t, mounts[data]["name"] == set.value(t, "spec", "volumeClaimTemplates", 0, "metadata", "name") &&
		mounts[configuration]["name"] == pod.value(t, "volumes", 0, "name") &&
		mounts[configuration]["readOnly"] == true,
		"mounts %v: expected %s to be the claim, and %s the ConfigMap", mounts, data, configuration)
	scraped := set.value(t, "spec", "template", "metadata", "annotations", "prometheus.io/path").(string)
	for _, path := range []string{"/health", scraped} {
		assert.True(t, strings.Contains(readFile(t, "reference/rest.md"), path),
			"expected the REST path %q to exist", path)
	}
	service := object(objects["Service culvert"].value(t, "spec", "ports", 0).(map[string]any))
	if service["targetPort"] != container.value(t, "ports", 0, "name") ||
		service["port"] != container.value(t, "ports", 0, "containerPort") || service["port"] != 8083 ||
		!strings.Contains(objects["ConfigMap culvert"].value(t, "data", "worker.properties").(string),
			"listeners=http://:8083\n") {
		t.Errorf("expected the Service to lead to port 8083 of the container, found %v, %v", service,
			container.value(t, "ports"))
	}
	user := object(set.value(t, "spec", "template", "spec", "securityContext").(map[string]any))
	assert.True(t, user["runAsNonRoot"] == true && user["runAsUser"] != 0 && user["fsGroup"] == user["runAsUser"] &&
		user["fsGroupChangePolicy"] == "OnRootMismatch" &&
		container.value(t, "securityContext", "readOnlyRootFilesystem") == true &&
		container.value(t, "resources", "limits", "memory") != "",
		"expected a user that is not root, a read-only file system and a memory limit, found %v, %v", user, container)
}

// The objects in the manifests of a group refer to each other.
func TestKubernetesGroupObjectsReferToEachOther(t *testing.T) {
	t.Parallel()
	objects := manifests(t, "group.yaml")
	set := objects["StatefulSet culvert"]
	peers := set.value(t, "spec", "serviceName").(string)
	labels := set.value(t, "spec", "template", "metadata", "labels", "app.kubernetes.io/name")
	for _, service := range []object{objects["Service culvert"], objects["Service "+peers]} {
		assert.True(t, service.value(t, "spec", "selector", "app.kubernetes.io/name") == labels,
			"expected a Service of the pods, found %v", service)
	}
	if objects["Service "+peers].value(t, "spec", "clusterIP") != "None" ||
		objects["PodDisruptionBudget culvert"].value(t, "spec", "selector", "matchLabels",
			"app.kubernetes.io/name") != labels ||
		objects["PodDisruptionBudget culvert"].value(t, "spec", "maxUnavailable") != 1 {
		t.Errorf("expected a Service with a name for each pod, and that one of them is missing at a time")
	}
}

// The autoscaler of a group starts workers by a metric that counts tasks with work to do.
func TestKubernetesGroupIsScaledByTasksWithWork(t *testing.T) {
	t.Parallel()
	objects := manifests(t, "group.yaml")
	set := objects["StatefulSet culvert"]
	scaler := objects["HorizontalPodAutoscaler culvert"]
	replicas := set.value(t, "spec", "replicas").(int)
	target := scaler.value(t, "spec", "scaleTargetRef").(map[string]any)
	assert.True(t, target["kind"] == "StatefulSet" && target["name"] == set.value(t, "metadata", "name") &&
		scaler.value(t, "spec", "minReplicas") == replicas && scaler.value(t, "spec", "maxReplicas").(int) > replicas,
		"expected the autoscaler to scale the %d workers, found %v", replicas, scaler)
	readme := readFile(t, "../../examples/kubernetes/README.md")
	metric := scaler.value(t, "spec", "metrics", 1, "pods", "metric", "name").(string)
	rule := regexp.MustCompile("(?s)seriesQuery: (\\w+).*?metricsQuery: >-(.*?)```").FindStringSubmatch(readme)
	figures := readFile(t, "reference/metrics.md")
	require.True(t, strings.Contains(readme, "name: {as: "+metric+"}") && rule != nil,
		"expected a rule of the README for %s, found %v", metric, rule)
	// The query counts tasks that are able to work and have work left. Tasks without a metric count as idle.
	if query := strings.Join(strings.Fields(rule[2]), " "); query != "sum by (<<.GroupBy>>) "+
		"(1 - <<.Series>>{<<.LabelMatchers>>}) or sum by (<<.GroupBy>>) "+
		"(0 * kafka_connect_worker_task_count{<<.LabelMatchers>>})" ||
		!strings.Contains(figures, "`"+rule[1]+"` | gauge | `connector`, `task` | 1 while a task has caught up, "+
			"else 0. Only for RUNNING tasks") ||
		!strings.Contains(figures, "`kafka_connect_worker_task_count` | gauge |  | ") {
		t.Errorf("expected figures that mean what the rule takes them for, found %s of %s", query, rule[1])
	}
}

// The settings, flags, commands and folders of a group's workers exist.
func TestKubernetesGroupRunsWorkersOfAGroup(t *testing.T) {
	t.Parallel()
	objects := manifests(t, "group.yaml")
	set := objects["StatefulSet culvert"]
	peers := set.value(t, "spec", "serviceName").(string)
	container, args, mounts := checkContainer(t, set)
	file := args[len(args)-1]
	assert.True(t, mounts[filepath.Dir(file)] != nil, "expected a volume at the folder of %s, found %v", file, mounts)
	hook := texts(t, container.value(t, "lifecycle", "preStop", "exec", "command"))
	command, flags, err := newRoot(t.Context(), nil).Find(hook[1:])
	if err == nil {
		err = command.ParseFlags(flags)
	}
	isProgram := func(i instruction) bool {
		return i.name == "ENTRYPOINT" && strings.Contains(i.arguments, `"`+hook[0]+`"`)
	}
	assert.True(t, err == nil && command.Name() == "drain" && slices.ContainsFunc(dockerfileInstructions(t), isProgram),
		"expected culvert drain as preStop, found %q: %v", hook, err)

	// The worker configuration and the environment result in a worker of a group, without a warning.
	settings := objects["ConfigMap culvert"].value(t, "data", filepath.Base(file)).(string)
	entries, problems := config.Read(file, []byte(settings))
	environ := []string{}
	for _, v := range container.value(t, "env").([]any) {
		name := v.(map[string]any)["name"].(string)
		environ = append(environ, name+"="+strings.ToLower(name))
	}
	w, workerProblems := config.NewWorker(file, entries, environ, nil)
	for _, p := range append(problems, workerProblems...) {
		t.Errorf("expected no problem, found %v", p)
	}
	assert.True(t, w.InGroup() && w.Text("group.instance.id") != "",
		"expected a worker of a group with a name of its own")
	assert.True(t, set.value(t, "spec", "template", "spec", "enableServiceLinks") == false,
		"expected enableServiceLinks: false, since the worker warns of CULVERT_SERVICE_HOST and the like")
	address := container.value(t, "env", 2, "value").(string)
	if w.Text("rest.advertised.host.name") == "" || !strings.HasSuffix(address, "."+peers+".$(POD_NAMESPACE).svc") {
		t.Errorf("expected the name of the pod by Service %s, found %s", peers, address)
	}
	assert.True(t, strings.Contains(settings, "param.allowed.paths=/run/secrets\n") &&
		mounts["/run/secrets/sap"] != nil, "expected secrets where the provider may read them")
}
