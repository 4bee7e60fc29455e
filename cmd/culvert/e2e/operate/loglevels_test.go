package operate

import (
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// The worker's file sets levels of loggers, the nearest name counts; lines of text say where they are written when that
// is asked for.
func TestLogLevelsOfTheWorkersFile(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 5})
	const sources = "org.init.ohja.kafka.connect.odatav2.source"
	run := func(data string, levels ...string) e2etest.Result {
		worker := p.File("worker.properties", append([]string{"bootstrap.servers=embedded", "listeners="}, levels...)...)
		return p.Run("run", "--once", "--log-format", "text+location", "--plugins", e2etest.Plugins(t), "--data", p.Data+data,
			worker, p.File("orders.properties", e2etest.Source("orders", address, "Orders")...))
	}
	r := run("1", "logging.level.root=ERROR", "logging.level.org.init.ohja=WARN", "logging.level."+sources+"=info")
	located := regexp.MustCompile(`^time=\S+ level=INFO ohja\.location=source\.\S+:\d+ msg="source .*\n$`)
	lines := 0
	for line := range strings.Lines(r.Stderr) {
		if lines++; !located.MatchString(line) {
			t.Errorf("expected lines of sources alone, with where they are written, found %s", line)
		}
	}
	if r.Code != 0 || lines == 0 {
		t.Errorf("exit %d, %d lines\n%s", r.Code, lines, r.Stderr)
	}
	run("2", "logging.level.root=OFF").Exits(0).Omits("level=")
	run("3", "logging.level.org.apache.kafka.clients=LOUD").
		Exits(2).Says("worker.properties:3: logging.level.org.apache.kafka.clients: Invalid value LOUD")
}
