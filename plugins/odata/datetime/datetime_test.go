package datetime_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/plugins/odata/datetime"
)

// TestParseAgainstStandard compares Parse with package time, for valid and invalid texts.
func TestParseAgainstStandard(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	plain := 0
	check := func(text string) {
		want, err := time.Parse("2006-01-02T15:04:05Z07:00", text)
		if err != nil {
			want, err = time.Parse("2006-01-02T15:04:05", text)
		}
		var m datetime.DateTime
		ok := m.Parse([]byte(text))
		ms := m.UTC()
		if want.Year() < 1 {
			err = errors.New("a year that is none here")
		}
		if ok != (err == nil) || (ok && ms != want.UnixMilli()) {
			t.Errorf("%s: expected %v, %v, found %v, %t", text, want, err, time.UnixMilli(ms).UTC(), ok)
		}
		if ok {
			plain++
		}
	}
	for range 50_000 {
		text := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", r.IntN(10_000), r.IntN(14), r.IntN(33), r.IntN(25),
			r.IntN(61), r.IntN(61))
		if r.IntN(2) == 0 {
			text += "Z"
		}
		if r.IntN(20) == 0 {
			b := []byte(text)
			b[r.IntN(len(b))] = "0123456789:TZ. "[r.IntN(15)]
			text = string(b)
		}
		check(text)
	}
	for _, text := range []string{"0000-02-29T00:00:00Z", "1900-02-29T00:00:00", "2000-02-29T23:59:59",
		"1969-12-31T23:59:59Z", "0000-01-01T00:00:00", "9999-12-31T23:59:59"} {
		check(text)
	}
	assert.True(t, plain >= 20_000, "only %d of 50,000 were plain", plain)
}

// TestParse checks points in time with their ticks and offsets, and whether digits were dropped.
func TestParse(t *testing.T) {
	for text, want := range map[string]datetime.DateTime{
		"1970-01-01T00:00:00.12345670": {Wall: 123, Ticks: 4567},
		"1970-01-01T00:00:00.12345678": {Wall: 123, Ticks: 4567, Rounded: true},
		"1970-01-01T00:00:00-01:30":    {Zoned: true, Offset: -90},
		"/Date(0+60)/":                 {Zoned: true, Offset: 60},
		"/Date(-62135769600000)/":      {Wall: datetime.FirstMs, Rounded: true},
		"/Date(253402300800000)/":      {Wall: datetime.LastMs, Rounded: true},
	} {
		var m datetime.DateTime
		ok := m.Parse([]byte(text))
		assert.True(t, ok && m == want, "%s: expected %+v, found %+v, %t", text, want, m, ok)
	}
}

func TestTimeOfDay(t *testing.T) {
	const hour = 3600 * 1000 * datetime.TicksPerMilli
	for _, c := range []struct {
		text    string
		ticks   int64
		rounded bool
		ok      bool
	}{
		{text: "PT0.00000001S", rounded: true, ok: true},
		{text: "PT0.00000010S", ticks: 1, ok: true},
		{text: "P0DT1H", ticks: hour, ok: true},
		{text: "P1DT1H"},
		{text: "PT23H59M59.9999999S", ticks: 24*hour - 1, ok: true},
	} {
		ticks, rounded, ok := datetime.TimeOfDay([]byte(c.text))
		assert.True(t, ticks == c.ticks && rounded == c.rounded && ok == c.ok,
			"%s: expected %+v, found %d, %t, %t", c.text, c, ticks, rounded, ok)
	}
}
