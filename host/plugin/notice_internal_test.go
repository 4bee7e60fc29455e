package plugin

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/assert"
)

func TestNotice(t *testing.T) {
	for name, c := range map[string]struct {
		compiles []time.Duration
		want     []time.Duration
	}{
		"nothing": {}, "quick": {compiles: []time.Duration{100 * time.Millisecond}},
		"long": {compiles: []time.Duration{time.Second, 3 * time.Second}, want: []time.Duration{0, 4 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said []time.Duration
				n := &notice{tell: func(took time.Duration) { said = append(said, took) }}
				for _, takes := range c.compiles {
					n.begin()
					time.Sleep(takes)
				}
				n.end()
				n.begin() // in the background: nobody waits
				time.Sleep(time.Minute)
				assert.Equal(t, c.want, said)
			})
		})
	}
	var none *notice
	none.begin()
}
