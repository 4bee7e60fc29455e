package plugin

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/wit"
)

// Bounds of lists and values that a plugin returns. plugin.NAME.limits.result.bytes bounds a call's result; these
// bound what the host stores, iterates over, or starts goroutines for.
const (
	// maxFeeds: each feed has goroutines and a Kafka client of its own.
	maxFeeds = 10_000
	// maxFeedBytes bounds a feed's name, topic, cron and fingerprint, which are stored with offsets and used in
	// metrics.
	maxFeedBytes = 64 << 10
	maxTasks     = 10_000
	// MaxClaimBytes bounds all claims of a source together: those of all connectors are compared.
	maxClaims     = 10_000
	MaxClaimBytes = 1 << 20
	// MaxExamined bounds the settings in a validation: each is repeated for every entity set, of which there may be a
	// thousand.
	MaxExamined = 100_000
	// MaxFindings bounds the errors kept of a validation.
	MaxFindings = 1_000
	// maxWakes bounds the triggers of a notification, maxWakeBytes token and ident of each.
	maxWakes     = 10_000
	maxWakeBytes = 4 << 10
	maxDoneBytes = 64 << 10
	// MaxHintBytes bounds a hint, which is kept for its row.
	MaxHintBytes = 16 << 10
	// MaxTopics bounds the topics of a batch and of a sink.
	MaxTopics = 10_000
	// MaxComponents bounds a plugin's components and aliases.
	MaxComponents = 1_000
	// maxSettings bounds all settings, rules and aliases of a plugin: an unknown setting is compared with all of
	// them.
	maxSettings = 20_000
	// maxPatterns bounds a plugin's patterns, maxPatternBytes each: RE2 takes time in proportion to its length for
	// each byte.
	maxPatterns     = 1_000
	maxPatternBytes = 1_000
	maxPrefixes     = 100
	maxPlaceholders = 2
	// maxDescriptionBytes bounds all texts of a description, which are kept in memory.
	maxDescriptionBytes = 4 << 20
)

// CheckOffset rejects an offset that is too large to be stored, or that contains a name twice.
func CheckOffset(what string, fields []wit.OffsetEntry) error {
	if size := wit.OffsetBytes(fields); size > wit.MaxOffsetBytes {
		largest := slices.MaxFunc(fields, func(a, b wit.OffsetEntry) int {
			return wit.OffsetBytes([]wit.OffsetEntry{a}) - wit.OffsetBytes([]wit.OffsetEntry{b})
		})
		return abi.Violated("%s: expected at most %d bytes of names and values, found %d, of them %d of %s", what,
			wit.MaxOffsetBytes, size, wit.OffsetBytes([]wit.OffsetEntry{largest}), clip(largest.Name))
	}
	seen := make(map[string]bool, min(len(fields), 64))
	for i := range fields {
		name := fields[i].Name
		if seen[name] {
			return abi.Violated("%s: expected names that stand once, found %.100q twice", what, name)
		}
		seen[name] = true
	}
	return nil
}

func checkPosition(what string, fields *[]wit.OffsetEntry) error {
	if fields == nil {
		return nil
	}
	return CheckOffset(what, *fields)
}

func checkCount(what string, found, most int) error {
	if found > most {
		return abi.Violated("expected at most %d %s, found %d", most, what, found)
	}
	return nil
}

func checkFeeds(feeds []wit.Feed) error {
	if err := checkCount("feeds", len(feeds), maxFeeds); err != nil {
		return err
	}
	for i := range feeds {
		f := &feeds[i]
		size := len(f.Name) + len(f.Topic) + len(f.Fingerprint)
		if f.Cron != nil {
			size += len(*f.Cron)
		}
		if size > maxFeedBytes {
			return abi.Violated("feed %s: expected at most %d bytes of name, topic, times and fingerprint, found %d",
				clip(f.Name), maxFeedBytes, size)
		}
		if err := CheckOffset("feed "+clip(f.Name)+", partition", f.Partition); err != nil {
			return err
		}
	}
	return nil
}

func checkPlan(l *wit.PlanResult) error {
	size := 0
	for _, claim := range l.Claims {
		size += len(claim)
	}
	return cmp.Or(checkCount("tasks", len(l.Tasks), maxTasks), checkCount("claims", len(l.Claims), maxClaims),
		checkCount("bytes of claims", size, MaxClaimBytes))
}

// checkConfigValues drops errors after the first [MaxFindings].
func checkConfigValues(all []wit.ConfigValue) error {
	remaining := MaxFindings
	for i := range all {
		all[i].Errors = all[i].Errors[:min(len(all[i].Errors), remaining)]
		remaining -= len(all[i].Errors)
	}
	return checkCount("settings", len(all), MaxExamined)
}

// checkTriggers rejects too many or too long triggers. It returns a fault, which the sender of the notification
// receives as a response.
func checkTriggers(wakes []wit.Trigger) error {
	if len(wakes) > maxWakes {
		return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf(
			"expected at most %d rows to be read for a notification, found %d", maxWakes, len(wakes))}
	}
	for i := range wakes {
		if size := len(wakes[i].Token) + len(wakes[i].Ident); size > maxWakeBytes {
			return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf(
				"expected at most %d bytes of what names a notification and its row, found %d", maxWakeBytes, size)}
		}
	}
	return nil
}

func checkDone(a *wit.CallResult) error {
	if a.Done != nil && len(*a.Done) > maxDoneBytes {
		return abi.Violated("done: expected at most %d bytes, found %d", maxDoneBytes, len(*a.Done))
	}
	return nil
}

func checkHints(verdicts []wit.RowResult) error {
	for n := range verdicts {
		if again := verdicts[n].Retry; again != nil && len(again.Hint) > MaxHintBytes {
			return abi.Violated("verdict %d: expected a hint of at most %d bytes, found %d", n, MaxHintBytes,
				len(again.Hint))
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > maxNameBytes {
		return s[:maxNameBytes] + "..."
	}
	return s
}

func checkLists(ctx context.Context, d *wit.Description) error {
	n := tally{texts: len(d.Documentation)}
	for i := range d.Components {
		c := &d.Components[i]
		n.components += 1 + len(c.Aliases)
		n.texts += len(c.Documentation)
		if len(c.Prefixes) > maxPrefixes {
			return fmt.Errorf("component %s: expected at most %d prefixes, found %d", clip(c.Name), maxPrefixes,
				len(c.Prefixes))
		}
		for _, p := range c.Prefixes {
			if err := n.name(c, "prefix", p); err != nil {
				return err
			}
		}
		for s := range c.Settings {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := n.setting(c, &c.Settings[s]); err != nil {
				return err
			}
		}
	}
	for _, b := range []struct {
		what        string
		found, most int
	}{{"components and aliases", n.components, MaxComponents}, {"settings, rules and aliases", n.settings, maxSettings},
		{"patterns", n.patterns, maxPatterns}, {"bytes of text", n.texts, maxDescriptionBytes}} {
		if b.found > b.most {
			return fmt.Errorf("expected at most %d %s, found %d", b.most, b.what, b.found)
		}
	}
	return nil
}

type tally struct{ components, settings, patterns, texts int }

var placeholders = regexp.MustCompile(`\{[a-z]+\}`)

func (n *tally) name(c *wit.Component, what, name string) error {
	n.settings++
	n.texts += len(name)
	if len(name) > maxNameBytes {
		return fmt.Errorf("component %s, %s %.40q...: expected at most %d bytes, found %d", clip(c.Name), what, name,
			maxNameBytes, len(name))
	}
	if !strings.Contains(name, "{") {
		return nil
	}
	found := placeholders.FindAllString(name, -1)
	if len(found) > maxPlaceholders || len(found) == 2 && found[0] == found[1] {
		return fmt.Errorf("component %s, %s %q: expected at most %d placeholders, each once", clip(c.Name), what, name,
			maxPlaceholders)
	}
	return nil
}

func (n *tally) setting(c *wit.Component, s *wit.ConfigKey) error {
	if err := n.name(c, "setting", s.Name); err != nil {
		return err
	}
	n.texts += len(s.Documentation)
	if s.DefaultValue != nil {
		n.texts += len(*s.DefaultValue)
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		n.settings++
		for _, list := range []*[]string{r.Allowed, r.Dependents} {
			if list == nil {
				continue
			}
			n.settings += len(*list)
			for _, text := range *list {
				n.texts += len(text)
			}
		}
		for _, text := range []*string{r.Group, r.DisplayName, r.Role} {
			if text != nil {
				n.texts += len(*text)
			}
		}
		if r.Alias != nil {
			if err := n.name(c, "alias", *r.Alias); err != nil {
				return err
			}
		}
		if r.Pattern != nil {
			n.patterns++
			n.texts += len(*r.Pattern)
			if len(*r.Pattern) > maxPatternBytes {
				return fmt.Errorf("component %s, setting %s: expected a pattern of at most %d bytes, found %d",
					clip(c.Name), s.Name, maxPatternBytes, len(*r.Pattern))
			}
		}
	}
	return nil
}

const maxNameBytes = 200
