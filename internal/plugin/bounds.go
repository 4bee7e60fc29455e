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

// Bounds of lists and values that a plugin returns. plugin.NAME.limits.result.bytes bounds a call's result; these bound
// what the host stores, iterates over, or starts goroutines for.
const (
	maxFeeds = 10_000 // each feed has goroutines and a Kafka client of its own
	// maxFeedBytes bounds a feed's name, topic, cron and fingerprint, which are stored with offsets and used in
	// metrics.
	maxFeedBytes = 64 << 10
	maxTasks     = 10_000
	// MaxClaimBytes bounds all claims of a source together, because the claims of all connectors are compared.
	maxClaims     = 10_000
	MaxClaimBytes = 1 << 20
	// MaxExamined bounds the settings in a validation: each is repeated for every entity set, of which there may be a
	// thousand.
	MaxExamined = 100_000
	MaxFindings = 1_000 // errors of a validation; more are dropped
	// maxTriggers bounds the triggers of a notification, maxTriggerBytes token and ident of each.
	maxTriggers     = 10_000
	maxTriggerBytes = 4 << 10
	maxDoneBytes    = 64 << 10
	MaxHintBytes    = 16 << 10 // bounds a hint, which is kept for its row
	MaxTopics       = 10_000   // bounds the topics of a batch and of a sink
	MaxComponents   = 1_000    // bounds a plugin's components and aliases
	// maxSettings bounds all settings, rules and aliases of a plugin: an unknown setting is compared with all of them.
	maxSettings = 20_000
	// maxPatterns bounds a plugin's patterns, maxPatternBytes each: RE2 takes time in proportion to its length for
	// each byte.
	maxPatterns         = 1_000
	maxPatternBytes     = 1_000
	maxPrefixes         = 100
	maxPlaceholders     = 2
	maxDescriptionBytes = 4 << 20 // bounds all texts of a description, which are kept in memory
	maxNameBytes        = 200     // bounds each name of a description; longer names in messages are cut off
)

// CheckOffset rejects an offset that is too large to be stored, or that contains a name twice.
func CheckOffset(subject string, fields []wit.OffsetEntry) error {
	if size := wit.OffsetBytes(fields); size > wit.MaxOffsetBytes {
		largest := slices.MaxFunc(fields, func(a, b wit.OffsetEntry) int {
			return wit.OffsetBytes([]wit.OffsetEntry{a}) - wit.OffsetBytes([]wit.OffsetEntry{b})
		})
		return abi.NewViolation("%s: expected at most %d bytes of names and values, found %d, of them %d of %s",
			subject, wit.MaxOffsetBytes, size, wit.OffsetBytes([]wit.OffsetEntry{largest}), clip(largest.Name))
	}
	seen := make(map[string]bool, min(len(fields), 64))
	for i := range fields {
		name := fields[i].Name
		if seen[name] {
			return abi.NewViolation("%s: expected unique names, found %.100q twice", subject, name)
		}
		seen[name] = true
	}
	return nil
}

// checkPosition is [CheckOffset] for an offset that may be nil.
func checkPosition(subject string, fields *[]wit.OffsetEntry) error {
	if fields == nil {
		return nil
	}
	return CheckOffset(subject, *fields)
}

func checkCount(subject string, found, maximum int) error {
	if found > maximum {
		return abi.NewViolation("expected at most %d %s, found %d", maximum, subject, found)
	}
	return nil
}

func checkFeeds(feeds []wit.Feed) error {
	if err := checkCount("feeds", len(feeds), maxFeeds); err != nil {
		return err
	}
	for i := range feeds {
		feed := &feeds[i]
		size := len(feed.Name) + len(feed.Topic) + len(feed.Fingerprint)
		if feed.Cron != nil {
			size += len(*feed.Cron)
		}
		if size > maxFeedBytes {
			return abi.NewViolation("feed %s: expected at most %d bytes of name, topic, cron and fingerprint, found %d",
				clip(feed.Name), maxFeedBytes, size)
		}
		if err := CheckOffset("feed "+clip(feed.Name)+", partition", feed.Partition); err != nil {
			return err
		}
	}
	return nil
}

func checkPlan(plan *wit.PlanResult) error {
	size := 0
	for _, claim := range plan.Claims {
		size += len(claim)
	}
	return cmp.Or(checkCount("tasks", len(plan.Tasks), maxTasks), checkCount("claims", len(plan.Claims), maxClaims),
		checkCount("bytes of claims", size, MaxClaimBytes))
}

// checkConfigValues drops errors after the first [MaxFindings].
func checkConfigValues(values []wit.ConfigValue) error {
	remaining := MaxFindings
	for i := range values {
		values[i].Errors = values[i].Errors[:min(len(values[i].Errors), remaining)]
		remaining -= len(values[i].Errors)
	}
	return checkCount("settings", len(values), MaxExamined)
}

// checkTriggers rejects too many or too long triggers. Its error is the response to the sender of the notification.
func checkTriggers(triggers []wit.Trigger) error {
	if len(triggers) > maxTriggers {
		return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf(
			"expected at most %d rows for a notification, found %d", maxTriggers, len(triggers))}
	}
	for i := range triggers {
		if size := len(triggers[i].Token) + len(triggers[i].Ident); size > maxTriggerBytes {
			return &wit.Error{Kind: wit.ErrorData, Message: fmt.Sprintf(
				"expected at most %d bytes in token and ident of a notification, found %d", maxTriggerBytes, size)}
		}
	}
	return nil
}

func checkDone(result *wit.CallResult) error {
	if result.Done != nil && len(*result.Done) > maxDoneBytes {
		return abi.NewViolation("done: expected at most %d bytes, found %d", maxDoneBytes, len(*result.Done))
	}
	return nil
}

func checkHints(results []wit.RowResult) error {
	for n := range results {
		if retry := results[n].Retry; retry != nil && len(retry.Hint) > MaxHintBytes {
			return abi.NewViolation("result %d: expected a hint of at most %d bytes, found %d", n, MaxHintBytes,
				len(retry.Hint))
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

// checkLists bounds the lists and texts of a description.
func checkLists(ctx context.Context, description *wit.Description) error {
	sums := tally{texts: len(description.Documentation)}
	for i := range description.Components {
		component := &description.Components[i]
		sums.components += 1 + len(component.Aliases)
		sums.texts += len(component.Documentation)
		if len(component.Prefixes) > maxPrefixes {
			return fmt.Errorf("component %s: expected at most %d prefixes, found %d", clip(component.Name), maxPrefixes,
				len(component.Prefixes))
		}
		for _, p := range component.Prefixes {
			if err := sums.addName(component, "prefix", p); err != nil {
				return err
			}
		}
		for s := range component.Settings {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := sums.addSetting(component, &component.Settings[s]); err != nil {
				return err
			}
		}
	}
	for _, bound := range []struct {
		subject string
		found   int
		maximum int
	}{
		{subject: "components and aliases", found: sums.components, maximum: MaxComponents},
		{subject: "settings, rules and aliases", found: sums.settings, maximum: maxSettings},
		{subject: "patterns", found: sums.patterns, maximum: maxPatterns},
		{subject: "bytes of text", found: sums.texts, maximum: maxDescriptionBytes},
	} {
		if bound.found > bound.maximum {
			return fmt.Errorf("expected at most %d %s, found %d", bound.maximum, bound.subject, bound.found)
		}
	}
	return nil
}

// tally counts the parts of a description that are limited.
type tally struct {
	components int // with their aliases
	settings   int // with their rules, aliases and allowed values, and the components' prefixes
	patterns   int
	texts      int // in bytes
}

var placeholders = regexp.MustCompile(`\{[a-z]+\}`)

// addName counts a name, and rejects one that is too long or has too many placeholders.
func (t *tally) addName(component *wit.Component, subject, name string) error {
	t.settings++
	t.texts += len(name)
	if len(name) > maxNameBytes {
		return fmt.Errorf("component %s, %s %.40q...: expected at most %d bytes, found %d", clip(component.Name),
			subject, name, maxNameBytes, len(name))
	}
	if !strings.Contains(name, "{") {
		return nil
	}
	fields := placeholders.FindAllString(name, -1)
	if len(fields) > maxPlaceholders || (len(fields) == 2 && fields[0] == fields[1]) {
		return fmt.Errorf("component %s, %s %q: expected at most %d placeholders, each once", clip(component.Name),
			subject, name, maxPlaceholders)
	}
	return nil
}

func (t *tally) addSetting(component *wit.Component, key *wit.ConfigKey) error {
	if err := t.addName(component, "setting", key.Name); err != nil {
		return err
	}
	t.texts += len(key.Documentation)
	if key.DefaultValue != nil {
		t.texts += len(*key.DefaultValue)
	}
	for i := range key.Rules {
		rule := &key.Rules[i]
		t.settings++
		for _, list := range []*[]string{rule.Allowed, rule.Dependents} {
			if list == nil {
				continue
			}
			t.settings += len(*list)
			for _, s := range *list {
				t.texts += len(s)
			}
		}
		for _, s := range []*string{rule.Group, rule.DisplayName, rule.Role} {
			if s != nil {
				t.texts += len(*s)
			}
		}
		if rule.Alias != nil {
			if err := t.addName(component, "alias", *rule.Alias); err != nil {
				return err
			}
		}
		if rule.Pattern != nil {
			t.patterns++
			t.texts += len(*rule.Pattern)
			if len(*rule.Pattern) > maxPatternBytes {
				return fmt.Errorf("component %s, setting %s: expected a pattern of at most %d bytes, found %d",
					clip(component.Name), key.Name, maxPatternBytes, len(*rule.Pattern))
			}
		}
	}
	return nil
}
