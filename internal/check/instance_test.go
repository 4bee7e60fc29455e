package check_test

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/check/checktest"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
)

// The consumers of several tasks must not have the same group.instance.id, because each would fence the previous one.
func TestStaticNameOfSeveralTasksIsRejected(t *testing.T) {
	b := checktest.New(t, map[string][]byte{"sink": guesttest.Bytes(t, "../../plugins/odata-sink"),
		"spy": checktest.Spy(t)})
	const (
		sink     = "connector.class=ODataSink\nname=s\n"
		override = "consumer.override.group.instance.id=fixed"
		problem  = ": expected one task, found tasks.max=2"
	)
	for _, c := range []struct {
		name   string
		lines  string
		worker string // consumer.group.instance.id of the worker
		want   string
	}{
		{name: "two tasks", lines: sink + "tasks.max=2\n" + override,
			want: "c.properties:4: consumer.override.group.instance.id" + problem},
		{name: "one task", lines: sink + "tasks.max=1\n" + override},
		{name: "the default number of tasks", lines: sink + override},
		{name: "empty name", lines: sink + "tasks.max=2\nconsumer.override.group.instance.id="},
		{name: "a source", lines: "connector.class=test.SpySource\nname=s\ntasks.max=2\n" + override},
		{name: "the worker's name", lines: sink + "tasks.max=2", worker: "fixed",
			want: "c.properties:3: tasks.max" + problem},
		{name: "the worker's name, overridden", lines: sink + "tasks.max=2\nconsumer.override.group.instance.id=",
			worker: "fixed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.Checker.Kafka.Consumer.Instance = c.worker
			got := resolvedtest.Lines(b.Checker.Check(t.Context(), b.Connector(t, strings.Split(c.lines, "\n")...)))
			assert.True(t, strings.Contains(got, "expected one task") == (c.want != "") &&
				strings.Contains(got, c.want), "expected %q, found %s", c.want, got)
		})
	}
}
