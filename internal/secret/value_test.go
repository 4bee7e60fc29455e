package secret_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/secret"
)

// A secret value is not shown by package fmt, logs or encodings.
func TestValueIsNotShown(t *testing.T) {
	const canary = "c4n4ry-of-a-value"
	var redactor secret.Redactor
	v := redactor.NewSecret("before "+canary, true, canary)
	type holder struct {
		Value  secret.Value
		inside []secret.Value
	}
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "%X", "%d", "%T", "%p", "%40s", "%.3s"} {
		fmt.Fprintf(&b, verb+verb+verb+verb, v, &v, []secret.Value{v}, holder{v, []secret.Value{v}})
	}
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "value", v, "pointer", &v, "holder", holder{v, []secret.Value{v}})
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "value", v, "pointer", &v, "holder", holder{v, []secret.Value{v}})
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
		data, err := marshal(holder{v, []secret.Value{v}})
		require.NoError(t, err)
		b.Write(data)
	}
	shown := strings.ToLower(b.String())
	for _, form := range []string{canary, "before", fmt.Sprintf("%x", canary)} {
		assert.NotContains(t, shown, form)
	}
	if v.Reveal() != "before "+canary || !v.IsSecret() || !v.FromFile() || v.String() != secret.Hidden {
		t.Errorf("expected a secret of a file, found %q, secret %t, of a file %t", v.Reveal(), v.IsSecret(),
			v.FromFile())
	}
	w := secret.Plain("text")
	assert.True(t, w.String() == "text" && !w.IsSecret() && fmt.Sprintf("%q", w) == `"text"` &&
		!w.Equal(redactor.NewSecret("text", false)), "expected a text that is no secret, found %v", w)
}

// A value's secret is redacted as long as the value exists.
func TestValueIsRedactedWhileItExists(t *testing.T) {
	var redactor secret.Redactor
	v := redactor.NewSecret("x-c4n4ry", false, "c4n4ry")
	runtime.GC()
	assert.Equal(t, "a [hidden], x-", redactor.Redact("a c4n4ry, x-"))
	runtime.KeepAlive(v)
	timeout := time.After(30 * time.Second)
	for redactor.Redact("a c4n4ry") != "a c4n4ry" {
		select {
		case <-timeout:
			t.Fatal("expected the secret to be removed with its value")
		default:
			runtime.GC()
			runtime.Gosched()
		}
	}
}
