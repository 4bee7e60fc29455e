//go:build real

package cron

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Starts are the same as in Quartz, except for expressions with starts in all hours when clocks go back: Quartz skips
// the first of two equal local times, as it does for other expressions. Quartz also has years after 2099, and misses
// starts in the half hour after clocks went forward by half an hour.
func TestRealQuartz(t *testing.T) {
	const count = 12
	r := rand.New(rand.NewPCG(68, 16))
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"}
	var lines, starts []string
	for range 6_000 {
		expression := randomCalendar(r).expression
		zone := zones[r.IntN(len(zones))]
		after := randomStart(t, r, zone, strings.Contains(expression, "W"))
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%d", expression, zone, after.Format(time.RFC3339), count))
		starts = append(starts, startsOnce(t, expression+" "+zone, after, count))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute) // the first run downloads Quartz
	defer cancel()
	java := exec.CommandContext(ctx, "../../../testdata/peers/quartz/tool.sh", "testdata/Starts.java")
	java.WaitDelay = time.Minute
	var stderr bytes.Buffer
	java.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	java.Stderr = &stderr
	out, err := java.Output()
	require.True(t, err == nil, "Java: %v\n%s", err, stderr.Bytes())
	results := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	assert.Equal(t, len(lines), len(results))
	for i, line := range lines {
		result, _, _ := strings.Cut(" "+results[i], " 21") // years after 2099
		want := strings.Fields(starts[i])
		found := strings.Fields(result)
		if strings.Contains(line, "Lord_Howe") && slices.ContainsFunc(slices.Concat(want, found), isAfterHalfHour) {
			want = slices.DeleteFunc(want, isAfterHalfHour)
			found = slices.DeleteFunc(found, isAfterHalfHour)
			shorter := min(len(want), len(found))
			want = want[:shorter]
			found = found[:shorter]
		}
		assert.Equal(t, want, found, line)
	}
}

// isAfterHalfHour reports whether clocks of Lord Howe went forward in the last half hour.
func isAfterHalfHour(text string) bool {
	instant, _ := time.Parse(time.RFC3339, text)
	zone, _ := time.LoadLocation("Australia/Lord_Howe")
	_, offset := instant.In(zone).Zone()
	_, previous := instant.Add(-30 * time.Minute).In(zone).Zone()
	return previous < offset
}

// randomStart returns a time near a change of clocks, or at the beginning of a month. Quartz misses starts on the
// nearest working day if the time is after the day that is named.
func randomStart(t *testing.T, r *rand.Rand, zoneName string, atBeginning bool) time.Time {
	t.Helper()
	zone, err := time.LoadLocation(zoneName)
	require.NoError(t, err)
	month := time.Date(2024+r.IntN(10), time.Month(1+r.IntN(12)), 1, 0, 0, 0, 0, zone)
	if _, change := month.ZoneBounds(); !change.IsZero() && !atBeginning {
		return change.Add(-3 * time.Hour).UTC()
	}
	return month.Add(-time.Second).UTC()
}

// startsOnce returns the next starts without the first ones of two equal local times.
func startsOnce(t *testing.T, text string, after time.Time, count int) string {
	t.Helper()
	s, err := Parse(text)
	if err != nil && strings.Contains(err.Error(), "found none") {
		return ""
	} else if err != nil {
		t.Fatal(err)
	}
	var starts []string
	for len(starts) < count {
		next, ok := s.Next(after)
		if !ok {
			break
		}
		after = next
		if !isRepeated(next.In(s.zone)) {
			starts = append(starts, next.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(starts, " ")
}
