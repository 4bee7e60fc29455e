package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// The worker's file sets levels of loggers, the nearest name counts; lines of text say where they are written when that
// is asked for.
func TestLogLevelsOfTheWorkersFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 5})
	const sources = "org.init.ohja.kafka.connect.odatav2.source"
	run := func(data string, levels ...string) result {
		worker := p.file("worker.properties", append([]string{"bootstrap.servers=embedded", "listeners="}, levels...)...)
		return p.run("run", "--once", "--log-format", "text+location", "--plugins", plugins(t), "--data", p.data+data,
			worker, p.file("orders.properties", source("orders", address, "Orders")...))
	}
	r := run("1", "logging.level.root=ERROR", "logging.level.org.init.ohja=WARN", "logging.level."+sources+"=info")
	located := regexp.MustCompile(`^time=\S+ level=INFO msg="source .* ohja\.location=source\.\S+:\d+\n$`)
	lines := 0
	for line := range strings.Lines(r.stderr) {
		if lines++; !located.MatchString(line) {
			t.Errorf("expected lines of sources alone, with where they are written, found %s", line)
		}
	}
	if r.code != exitDone || lines == 0 {
		t.Errorf("exit %d, %d lines\n%s", r.code, lines, r.stderr)
	}
	if r = run("2", "logging.level.root=OFF"); r.code != exitDone || strings.Contains(r.stderr, "level=") {
		t.Errorf("exit %d, expected no lines\n%s", r.code, r.stderr)
	}
	r = run("3", "logging.level.org.apache.kafka.clients=LOUD")
	if r.code != exitWrong || !strings.Contains(r.stderr, "worker.properties:3: "+
		"logging.level.org.apache.kafka.clients: "+
		"Invalid value LOUD") {
		t.Errorf("exit %d, expected the level to be refused\n%s", r.code, r.stderr)
	}
}
