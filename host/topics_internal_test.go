package host

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/config"
)

// What the worker's settings say about topics in use is what REST is told, in Kafka Connect's words.
func TestTopicTrackingIsSwitchedOff(t *testing.T) {
	for given, want := range map[string][2]string{
		"topic.tracking.enable":      {"Topic tracking is disabled.", "Topic tracking is disabled."},
		"topic.tracking.allow.reset": {"", "Topic tracking reset is disabled."},
	} {
		settings, problems, err := config.LoadWorker("", nil, map[string]string{given: "false"})
		if err != nil || problems.Err() != nil {
			t.Fatal(err, problems)
		}
		w := worker{&Host{in: &config.Installation{Worker: settings}}}
		_, told := w.Topics("c")
		for n, err := range []error{told, w.ResetTopics("c")} {
			if found := errText(err); found != want[n] && !strings.Contains(found, want[n]) {
				t.Errorf("%s=false: expected %q, found %q", given, want[n], found)
			}
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
