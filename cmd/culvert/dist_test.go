package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// runLine checks that a command line is one that the program takes, and returns the folders that it names.
func runLine(t *testing.T, what string, line []string) (configuration, data string) {
	t.Helper()
	command, rest, err := newRoot(t.Context(), nil).Find(line)
	if err == nil {
		err = command.ParseFlags(rest)
	}
	if err == nil && command.Name() != "run" {
		err = errors.New("it runs no worker")
	}
	if err != nil {
		t.Fatalf("%s: %q: %v", what, line, err)
	}
	configuration, _ = command.Flags().GetString("config")
	data, _ = command.Flags().GetString("data")
	return configuration, data
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	e2etest.NoError(t, err)
	return string(text)
}

// The unit runs the program that is packed, with folders that the service may read and write.
func TestServiceUnit(t *testing.T) {
	t.Parallel()
	unit := map[string]string{}
	for line := range strings.Lines(readFile(t, "../dist/culvert.service")) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found && !strings.HasPrefix(name, "#") {
			unit[name] = value
		}
	}
	line := strings.Fields(unit["ExecStart"])
	if len(line) == 0 || !strings.Contains(readFile(t, "../dist/nfpm.yaml"), "dst: "+line[0]+"\n") {
		t.Fatalf("ExecStart=%s: the packages hold no such program", unit["ExecStart"])
	}
	configuration, data := runLine(t, "ExecStart", line[1:])
	warm := "-" + line[0] + " plugins warm --config " + configuration + " --data " + data
	if unit["ExecStartPre"] != warm {
		t.Errorf("ExecStartPre: expected %q, found %q", warm, unit["ExecStartPre"])
	}
	for name, want := range map[string]string{"ConfigurationDirectory": strings.TrimPrefix(configuration, "/etc/"),
		"StateDirectory": strings.TrimPrefix(data, "/var/lib/"), "DynamicUser": "yes", "ProtectSystem": "strict",
		"NoNewPrivileges":       "yes",
		"LimitCORE":             "0", // a core file holds passwords
		"CapabilityBoundingSet": "", "Environment": "XDG_CACHE_HOME=" + filepath.Dir(data)} {
		if got, there := unit[name]; !there || got != want {
			t.Errorf("%s: expected %q, found %q", name, want, got)
		}
	}
	// Compiled plugins are written, then run.
	if _, there := unit["MemoryDenyWriteExecute"]; there {
		t.Error("with MemoryDenyWriteExecute no plugin runs")
	}
}

// instruction is a line of a Dockerfile.
type instruction struct{ name, rest string }

func dockerfile(t *testing.T) (list []instruction) {
	t.Helper()
	for line := range strings.Lines(readFile(t, "../dist/Dockerfile")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			name, rest, _ := strings.Cut(line, " ")
			list = append(list, instruction{name, rest})
		}
	}
	return list
}

// What the Dockerfile copies is there or made before, its command line is one that the program takes, and nobody is
// root.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	makefile := readFile(t, "../../Makefile")
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "../../go.mod"))[1]
	var user, volume string
	warmed := false
	var command []string
	made, copied, stages := map[string]bool{}, map[string]bool{}, []string{}
	for _, i := range dockerfile(t) {
		words := strings.Fields(i.rest)
		switch i.name {
		case "FROM":
			stages, user = append(stages, words[0]), ""
		case "COPY":
			from := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "--") })
			copied[from[len(from)-1]] = true
			for _, source := range from[:len(from)-1] {
				if strings.Contains(i.rest, "--from=build") {
					if !made[source] {
						t.Errorf("COPY %s: no RUN makes %s", i.rest, source)
					}
				} else if _, err := os.Stat(filepath.Join("../..", source)); err != nil {
					t.Error(err)
				}
			}
		case "RUN":
			if words[0] == "make" {
				if !strings.Contains(makefile, "\n"+words[1]+": ") {
					t.Errorf("RUN %s: the Makefile has no such rule", i.rest)
				}
				made["/src/"+words[1]] = true
			}
			warmed = warmed || strings.HasPrefix(i.rest, "bin/culvert plugins warm "+
				"--set cache.dir=/made/var/cache/culvert ")
			if words[0] == "mkdir" {
				for _, dir := range words[2:] {
					made[dir] = true
				}
			}
		case "ENV":
			if cache, found := strings.CutPrefix(i.rest, "CULVERT_CACHE_DIR="); found {
				warmed = copied[cache] && warmed
			}
		case "USER":
			user = i.rest
		case "VOLUME":
			volume = i.rest
		case "ENTRYPOINT", "CMD":
			var part []string
			if err := json.Unmarshal([]byte(i.rest), &part); err != nil {
				t.Errorf("%s %s: without a shell it has to be a list: %v", i.name, i.rest, err)
			}
			command = append(command, part...)
		}
	}
	if len(stages) != 4 || !strings.HasPrefix(stages[0], "golang:"+version+"-") ||
		!strings.Contains(stages[1], "distroless/static") || !strings.Contains(stages[2], "distroless/cc") ||
		stages[3] != "base$TAGS" {
		t.Errorf("expected Go %s, an image without a shell, and one that has the C and C++ libraries besides, found %q",
			version, stages)
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("USER: expected numbers, which a cluster can tell from root's, found %q", user)
	}
	if !warmed {
		t.Error("expected that plugins are compiled into a folder that is copied and that CULVERT_CACHE_DIR names")
	}
	if len(command) == 0 || !copied[command[0]] {
		t.Fatalf("ENTRYPOINT: %q is not in the image", command)
	}
	if configuration, data := runLine(t, "Dockerfile", command[1:]); data != volume || !copied[data] ||
		!copied[configuration] {
		t.Errorf("expected the folders %s and %s in the image, and the second as the volume %s", configuration, data,
			volume)
	}
}

// The files of the ConfigMap pass the check of the README where no secret is mounted, without a warning.
func TestKubernetesReadme(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	files := manifests(t, "culvert.yaml")["ConfigMap culvert"].at(t, "data").(map[string]any)
	for name, text := range files {
		p.File(name, text.(string))
	}
	check := regexp.MustCompile(`(?m)^culvert (validate .*?)(?: *#.*)?$`).FindStringSubmatch(
		readFile(t, "../../examples/kubernetes/README.md"))
	if check == nil {
		t.Fatal("the README checks nothing")
	}
	args := strings.Fields(check[1])
	for i, arg := range args {
		if strings.HasSuffix(arg, ".properties") {
			args[i] = filepath.Join(p.Dir, arg)
		}
	}
	if r := p.Run(append(args, "--plugins", e2etest.Plugins(t))...); r.Code != exitDone || r.Stdout != "" ||
		!strings.Contains(r.Stderr, ": ok: orders") {
		t.Errorf("culvert %s: exit code %d\n%s%s", check[1], r.Code, r.Stdout, r.Stderr)
	}
}

// The worker's file of the packages is a valid one.
func TestPackagedSettings(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	worker := p.File("worker.properties", readFile(t, "../dist/worker.properties"))
	connector := p.File("orders.properties", readFile(t, "../../examples/tour/orders.properties"))
	if r := p.Run("validate", "--plugins", e2etest.Plugins(t), worker, connector); r.Code != exitDone || r.Stdout != "" {
		t.Errorf("exit code %d, expected no warning\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	for _, named := range regexp.MustCompile(`/usr/share/doc/culvert/(examples\S+\.properties)`).FindAllStringSubmatch(
		readFile(t, "../dist/worker.properties"), -1) {
		readFile(t, "../../"+named[1])
	}
	if strings.Contains(readFile(t, "../dist/postinstall.sh"), "systemctl start") {
		t.Error("a package that is installed starts nothing")
	}
}
