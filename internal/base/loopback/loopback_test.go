package loopback_test

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/loopback"
)

func TestIs(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost":         true,
		"LocalHost.":        true,
		"127.0.0.1":         true,
		"127.9.9.9":         true,
		"::1":               true,
		"::ffff:127.0.0.1":  true,
		"0.0.0.0":           false,
		"":                  false,
		"localhost.example": false,
		"10.0.0.1":          false,
		"::1%eth0":          false,
		"example":           false,
	} {
		assert.True(t, loopback.Is(host) == want, "%q: expected a loopback host: %v, found %v", host, want, !want)
	}
}
