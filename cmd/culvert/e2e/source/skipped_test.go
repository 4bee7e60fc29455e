package source

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// What is skipped is always said; errors.log.enable and errors.log.include.messages say how.
func TestSkippedRecordsAreLogged(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 3})
	broker := e2etest.Embedded(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=", "errors.log.include.messages=true")
	there := p.File("there.properties", e2etest.Source("there", address, "Orders")...)
	p.MustOnce(worker, there)
	e2etest.RefuseWrites(t, s, 1000)
	for name, c := range map[string]struct {
		lines    []string
		level    string
		messages bool
	}{
		"plain":  {[]string{"errors.log.include.messages=false"}, "WARN", false},
		"logged": {[]string{"errors.log.enable=true"}, "ERROR", true},
	} {
		file := p.File(name+".properties", append(append(e2etest.SinkOf(name, address, "Orders", "OrderCopies"),
			"errors.tolerance=all"), c.lines...)...)
		r := p.OnceWith(e2etest.Plugins(t, "odata-sink"), worker, file)
		if r.Code != 0 || strings.Contains(r.Stderr, "errors.log.enable: warning") {
			t.Errorf("%s: exit %d\n%s", name, r.Code, r.Stderr)
		}
		lines := 0
		for line := range strings.Lines(r.Stderr) {
			if !strings.Contains(line, "record skipped") {
				continue
			}
			lines++
			if !strings.Contains(line, "level="+c.level) || !strings.Contains(line,
				"topic=Orders partition=0 offset=") ||
				strings.Contains(line, "timestamp=") != c.messages {
				t.Errorf("%s: expected level %s, the place, and more about the record: %t, found %s", name, c.level,
					c.messages, line)
			}
		}
		if lines != s.Count("Orders") {
			t.Errorf("%s: expected %d lines, found %d in\n%s", name, s.Count("Orders"), lines, r.Stderr)
		}
	}
	// Rows that a source skips, too: here all of them, whose records are too large for the producer with their schemas.
	large := p.File("large.properties", append(e2etest.Source("large", address, "Orders"), "errors.tolerance=all",
		"errors.log.enable=true", "producer.override.max.request.size=1024")...)
	r := p.Once(worker, large)
	lines := 0
	for line := range strings.Lines(r.Stderr) {
		if strings.Contains(line, "row skipped") && strings.Contains(line, "level=ERROR") && strings.Contains(line,
			" topic=") &&
			strings.Contains(line, " timestamp=") {
			lines++
		}
	}
	if r.Code != 0 || lines != s.Count("Orders") {
		t.Errorf("expected %d lines of level ERROR with topic and timestamp, found %d, exit %d\n%s", s.Count("Orders"),
			lines, r.Code, r.Stderr)
	}
}
