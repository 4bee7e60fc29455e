package plugin

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/plugin/internal/abi"
	"github.com/culvert-project/culvert/wit"
)

// How long the lists may be that a plugin hands over, and how much one value in them. A call's result is bounded in
// bytes by `plugin.NAME.limits.result.bytes`; these bound what the host keeps, goes through again and again, or starts
// goroutines for.
const (
	// maxFeeds is how many feeds a source may open with: each has goroutines and a Kafka client of its own.
	maxFeeds = 10_000
	// maxFeedBytes is how long name, topic, times and fingerprint of a feed may be together: the fingerprint is stored
	// with every offset, and the name stands in metrics.
	maxFeedBytes = 64 << 10
	// maxTasks is how many tasks a source may be shared out among, whatever tasks.max.enforce says: each has goroutines
	// and clients of its own.
	maxTasks = 10_000
	// maxClaims is how many claims a source may have, MaxClaimBytes how long they may be together: those of all
	// connectors are kept, and held against each other.
	maxClaims     = 10_000
	MaxClaimBytes = 1 << 20
	// MaxExamined is how many settings a plugin may say something of when it checks a connector's: each that is
	// declared stands there again for each of the connector's entity sets, of which there may be a thousand.
	MaxExamined = 100_000
	// MaxFindings is how many errors in settings are kept of those that a plugin finds when it checks a connector's:
	// each is looked for among the others.
	MaxFindings = 1_000
	// maxWakes is how many wakes a notification may become, MaxWakeBytes how long token and ident of one may be
	// together: they are kept until they are served.
	maxWakes     = 10_000
	maxWakeBytes = 4 << 10
	// maxDoneBytes is how long what a plugin says of a subscription, or of its end, may be.
	maxDoneBytes = 64 << 10
	// MaxHintBytes is how long a hint may be, which is kept for its row.
	MaxHintBytes = 16 << 10
	// MaxTopics is how many topics a batch may have, and a sink may open with: names are looked up for every batch.
	MaxTopics = 10_000
	// MaxComponents is how many components and aliases a plugin may have.
	MaxComponents = 1_000
	// maxSettings is how many settings, rules and aliases the components of a plugin may declare together: a setting
	// that is not known is compared with all of them.
	maxSettings = 20_000
	// maxPatterns is how many rules of a plugin may have a pattern, MaxPatternBytes how long each may be: RE2 takes
	// time in proportion to its length for each byte of a value.
	maxPatterns     = 1_000
	maxPatternBytes = 1_000
	// maxPrefixes is how many prefixes a component may have: a setting that is not known is compared with all of them.
	maxPrefixes = 100
	// maxPlaceholders is how many placeholders a setting's name may have, such as {n} and {m}: each is a loop over what
	// they stand for.
	maxPlaceholders = 2
	// maxDescriptionBytes is how long all texts of a description may be together: they are kept as long as the file is
	// there.
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

// checkPosition is [CheckOffset] for one that may not be there.
func checkPosition(what string, fields *[]wit.OffsetEntry) error {
	if fields == nil {
		return nil
	}
	return CheckOffset(what, *fields)
}

// checkCount refuses more of something than are allowed.
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

// checkPlan bounds what a source wants to have.
func checkPlan(l *wit.PlanResult) error {
	size := 0
	for _, claim := range l.Claims {
		size += len(claim)
	}
	return cmp.Or(checkCount("tasks", len(l.Tasks), maxTasks), checkCount("claims", len(l.Claims), maxClaims),
		checkCount("bytes of claims", size, MaxClaimBytes))
}

// checkConfigValues bounds what a plugin says of settings, and leaves out errors after the first [MaxFindings].
func checkConfigValues(all []wit.ConfigValue) error {
	remaining := MaxFindings
	for i := range all {
		all[i].Errors = all[i].Errors[:min(len(all[i].Errors), remaining)]
		remaining -= len(all[i].Errors)
	}
	return checkCount("settings", len(all), MaxExamined)
}

// checkTriggers refuses wakes that would be too many, or too long, to be kept. It is the fault of the notification,
// whose sender gets it as an answer: plugins make wakes of what comes.
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

// checkDone bounds what a plugin says of a subscription, or of its end.
func checkDone(a *wit.CallResult) error {
	if a.Done != nil && len(*a.Done) > maxDoneBytes {
		return abi.Violated("done: expected at most %d bytes, found %d", maxDoneBytes, len(*a.Done))
	}
	return nil
}

// checkHints bounds what is kept of verdicts.
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

// checkLists refuses a description whose lists or texts are too long, or that has names which cannot be matched. It
// ends with ctx.
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

// name counts and checks a name that may be a template.
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

// maxNameBytes is how long names and versions may be: they stand in each line of a log and in each figure.
const maxNameBytes = 200
