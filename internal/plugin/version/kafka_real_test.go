//go:build real

package version

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The stored version ranges are read as stored by Kafka Connect's own class.
func TestRealVersionRanges(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // the first run downloads Kafka
	defer cancel()
	// The program reads the first two columns only.
	c := exec.CommandContext(ctx, "../../../testdata/peers/kafka/tool.sh", "testdata/Versions.java",
		"testdata/versions.tsv")
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	require.True(t, err == nil, "%v\n%s%s", err, out, stderr.String())
	for i, line := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		assert.Equal(t, versionsAsKafka(t)[i], line)
	}
}
