package config

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/culvert-project/culvert/internal/java/pattern"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Checker checks connectors against the declarations of Kafka Connect and of the connector's component.
type Checker struct {
	Worker          *Worker
	Embedded        bool // true if the broker is the built-in one
	OtherComponents []*Declarations
}

// CheckComponent checks settings by declarations, without calling the plugin. Unknown keys under the component's own
// prefixes are errors (P6: a misspelled filter would export the whole table) unless unknown.settings=warn; others are
// warnings. If the context ends, that is a problem, too.
func (ch Checker) CheckComponent(ctx context.Context, c *Connector, component wit.Component) Problems {
	own := DeclareComponent(component)
	frame := Declare(CommonSettings(component.Kind)...)
	guess := sync.OnceValue(func() *setting.Suggester {
		both := Declare(slices.Concat(own.Keys(), frame.Keys())...)
		both.Prefixes = own.Prefixes
		return &setting.Suggester{Table: both, Number: own.NumberIn(keys(c.Entries)), Budget: maxGuesses}
	})
	var problems Problems
	for _, e := range c.Entries {
		if ctx.Err() != nil {
			return append(problems, c.checkCanceled(ctx))
		}
		problems = append(problems, ch.checkSetting(c, e, own, frame, guess)...)
	}
	for _, rule := range []func() Problems{
		func() Problems { return missingSettings(ctx, c, frame) },
		func() Problems { return missingSettings(ctx, c, own) },
		func() Problems { return checkAddress(c, own) },
		func() Problems { return ignoredDefaults(ctx, c, own) },
		func() Problems { return commonRules(c, component.Kind) },
	} {
		if ctx.Err() != nil {
			return append(problems, c.checkCanceled(ctx))
		}
		problems = append(problems, rule()...)
	}
	return problems
}

func (c *Connector) checkCanceled(ctx context.Context) Problem {
	return Problem{File: c.File, Line: 1, Text: fmt.Sprintf("the check was ended: %v", context.Cause(ctx))}
}

func (ch Checker) checkSetting(c *Connector, e Entry, own, frame *Declarations,
	guess func() *setting.Suggester) Problems {
	if text := exactlyOnceUnavailable(e, ch.Worker, ch.Embedded); text != "" {
		return Problems{e.codedProblem(setting.CodeInvalid, text)}
	}
	spec, ok := own.Find(e.Key)
	if !ok {
		spec, ok = frame.Find(e.Key)
	}
	switch {
	case ok:
		return ch.checkValue(e, &spec, own)
	case own.Prefix(e.Key) == "" && isNested(c, e.Key):
		return checkClientSetting(e, ch.providers())
	}
	return Problems{ch.unknown(c, e, own, guess())}
}

func keys(entries []Entry) []string {
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	return keys
}

func (ch Checker) unknownPrefixed(c *Connector, p Problem) Problem {
	value := c.Text("unknown.settings")
	if value == "" && ch.Worker != nil {
		value = ch.Worker.Text("unknown.settings")
	}
	if p.Warning = strings.EqualFold(value, "warn"); !p.Warning {
		p.Text += "; with unknown.settings=warn this is a warning"
	}
	return p
}

func (ch Checker) providers() *Providers {
	if ch.Worker == nil {
		return nil
	}
	return ch.Worker.Providers
}

// unknown returns the problem of an undeclared key, an error if it has the component's prefix, or nearly so, or lacks
// it.
func (ch Checker) unknown(c *Connector, e Entry, own *Declarations, guess *setting.Suggester) Problem {
	near := guess.Nearest(e.Key)
	if own.Prefix(e.Key) != "" || own.Prefix(near) != "" && !isForeign(e.Key) {
		return ch.unknownPrefixed(c, e.codedProblem(setting.CodeUnknown, setting.Unknown(near)))
	}
	for _, list := range []string{"transforms", "predicates"} {
		if rest, ok := strings.CutPrefix(e.Key, list+"."); ok {
			alias, _, _ := strings.Cut(rest, ".")
			return e.warning("has no effect: %s does not name %s", list, alias)
		}
	}
	if _, ok := common.Find(e.Key); ok && hasSpec(sinkSettings, e.Key) {
		return e.warning("has no effect: a setting of sinks")
	} else if ok {
		return e.warning("has no effect: a setting of sources")
	}
	if hasSpec(workerSettings, e.Key) {
		return e.warning("has no effect: a setting of the worker, which stands in the worker's file")
	}
	p := e.codedProblem(setting.CodeUnknown, setting.Unknown(near))
	p.Warning = true
	return p
}

func isForeign(key string) bool {
	_, ok := common.Find(key)
	return ok || hasSpec(workerSettings, key) || hasPrefix(key, []string{"transforms.", "predicates."})
}

func hasSpec(specs []wit.ConfigKey, key string) bool {
	return slices.ContainsFunc(specs, func(s wit.ConfigKey) bool { return s.Name == key })
}

func checkClientSetting(e Entry, providers *Providers) Problems {
	for _, prefix := range []string{"producer.override.", "consumer.override.", "admin.override."} {
		name, ok := strings.CutPrefix(e.Key, prefix)
		if i := slices.IndexFunc(workerSettings, func(s wit.ConfigKey) bool { return s.Name == name }); ok && i >= 0 {
			return checkLiteral(e, &workerSettings[i], providers)
		}
	}
	if providers.HasUnknownProvider(e) && IsPassword(e.Key) && hasPrefix(e.Key,
		[]string{"key.converter.", "value.converter."}) {
		return Problems{providers.UnknownProvider(e, true)}
	}
	return nil
}

func (ch Checker) checkValue(e Entry, spec *wit.ConfigKey, own *Declarations) Problems {
	if e.unresolved() {
		return nil
	}
	isSecret := isSecret(e.Key, append([]*Declarations{own}, ch.OtherComponents...)...)
	if name := spec.Role(); isSecret && name != "" {
		if r, known := role.Find(name); known && r.Kind != role.Secret && r.Kind != role.StringOrSecret {
			return Problems{e.problem("is a secret, and the plugin has it used as %s, whose values are shown: it is "+
				"not used", name)}
		}
	}
	named := *spec
	named.Name = e.Key // rather than that which it is an alias of
	if text := CheckValue(&named, e.Value.Reveal(), !e.Value.IsSecret() && !isSecret); text != "" {
		return invalidValue(e, text, ch.providers())
	}
	return checkLiteral(e, spec, ch.providers())
}

// Mask replaces the value of a password wherever settings are shown.
const Mask = setting.Hidden

var variable = regexp.MustCompile(
	`^(\$[A-Za-z_][A-Za-z0-9_]*|\$[{(][A-Za-z_][A-Za-z0-9_]*[)}]|%[A-Za-z_][A-Za-z0-9_]*%)$`)

var quotedVariable = regexp.MustCompile(
	`=\s*["']?(\$[A-Za-z_][A-Za-z0-9_]*|\$[{(][A-Za-z_][A-Za-z0-9_]*[)}])["']?\s*(;|\s|$)`)

func checkLiteral(e Entry, spec *wit.ConfigKey, providers *Providers) Problems {
	value, password := setting.Trim(e.Raw), spec.Kind == wit.KindPassword
	switch {
	case password && value == Mask:
		return Problems{e.problem("expected a password, found what is shown in the place of one: write the password, " +
			"or a reference to it such as ${file:PATH:KEY}")}
	case password && value == "":
		return Problems{e.warning("is empty: expected a password, or no such line")}
	case providers.HasUnknownProvider(e):
		return Problems{providers.UnknownProvider(e, isSent(spec))}
	case password && !e.Value.IsSecret() && (variable.MatchString(value) || quotedVariable.MatchString(value)):
		return Problems{e.warning("looks like a variable, which nobody replaces: it is used as it stands. A variable " +
			"of the environment is ${env:NAME}")}
	}
	return nil
}

func isSent(spec *wit.ConfigKey) bool {
	return spec.Kind == wit.KindPassword || hasPrefix(spec.Role(), []string{role.HTTP, role.TLS, role.Listener})
}

// CheckSent returns the problem of a setting that would be sent with an unresolved reference, nil if there is none.
func (p *Providers) CheckSent(c *Connector, d *Declarations) error {
	for _, e := range c.Entries {
		if spec, ok := d.Find(e.Key); ok && isSent(&spec) && p.HasUnknownProvider(e) {
			return p.UnknownProvider(e, true)
		}
	}
	return nil
}

// HasUnknownProvider reports whether a value contains what looks like a reference to an unknown config provider.
func (p *Providers) HasUnknownProvider(e Entry) bool {
	return slices.ContainsFunc(reference.FindAllStringSubmatch(e.Raw, -1), func(parts []string) bool {
		return p == nil || p.byName[parts[1]].kind == nil
	})
}

// UnknownProvider is the problem of a reference to an unknown config provider. If it would be sent, it is an error;
// otherwise the text is used as it is, as in Kafka Connect.
func (p *Providers) UnknownProvider(e Entry, sent bool) Problem {
	const text = "looks like a reference to a config provider that there is not: it is %s. There are %s; the " +
		"worker's config.providers declares others"
	if sent {
		return e.problem(text, "not sent as it stands", p.names())
	}
	return e.warning(text, "used as it stands", p.names())
}

func invalidValue(e Entry, text string, providers *Providers) Problems {
	problems := Problems{e.codedProblem(setting.CodeInvalid, text)}
	if providers.HasUnknownProvider(e) {
		problems = append(problems, providers.UnknownProvider(e, false))
	}
	return problems
}

func isNested(c *Connector, key string) bool {
	if hasPrefix(key, []string{"key.converter.", "value.converter.", "header.converter.", "topic.creation.",
		"producer.override.", "consumer.override.", "admin.override."}) {
		return true
	}
	for _, list := range []string{"transforms", "predicates"} {
		for _, alias := range List(c.Text(list)) {
			if strings.HasPrefix(key, list+"."+alias+".") {
				return true
			}
		}
	}
	return false
}

func missingSettings(ctx context.Context, c *Connector, d *Declarations) Problems {
	var problems Problems
	for _, spec := range d.Keys() {
		if ctx.Err() != nil {
			break
		}
		if setting.IsRequired(&spec) && !hasDefault(&spec) && !strings.Contains(spec.Name, "{") && !c.has(&spec) {
			problems = append(problems, c.missing(spec.Name))
		}
	}
	return problems
}

// checkAddress requires address and port unless a BTP destination has both. The plugin's defaults do not count.
func checkAddress(c *Connector, d *Declarations) Problems {
	roles := NewRoles(d, c)
	if roles.Has(role.Destination) {
		return nil
	}
	var problems Problems
	for _, name := range []string{role.Address, role.Port} {
		v, declared := roles.byRole[name]
		if !declared || v.has || setting.IsRequired(&v.spec) {
			continue
		}
		switch r, _ := role.Find(name); {
		case v.spec.DefaultValue == nil && roles.Declared(role.Destination):
			problems = append(problems, c.missing(v.spec.Name))
		case v.spec.DefaultValue != nil && !r.AcceptsDefault(*v.spec.DefaultValue):
			p := c.missing(v.spec.Name)
			p.Text = fmt.Sprintf("%s: the plugin's default %q does not count, since where requests go comes from the "+
				"user alone",
				strings.TrimSuffix(p.Text, "."), *v.spec.DefaultValue)
			problems = append(problems, p)
		}
	}
	return problems
}

func hasDefault(spec *wit.ConfigKey) bool {
	if spec.DefaultValue == nil {
		return false
	}
	r, known := role.Find(spec.Role())
	return !known || r.AcceptsDefault(*spec.DefaultValue)
}

func ignoredDefaults(ctx context.Context, c *Connector, d *Declarations) Problems {
	var problems Problems
	for _, spec := range d.Keys() {
		if ctx.Err() != nil {
			break
		}
		if spec.DefaultValue == nil || hasDefault(&spec) || strings.Contains(spec.Name, "{") || c.has(&spec) ||
			setting.IsRequired(&spec) || spec.Role() == role.Address || spec.Role() == role.Port {
			continue
		}
		p := Entry{Key: spec.Name, File: c.File, Line: 1}.warning("not set, and the plugin's default (not shown) "+
			"does not count: %s comes from the user alone", spec.Role())
		if spec.Kind != wit.KindPassword {
			p.Text = strings.Replace(p.Text, "(not shown)", strconv.Quote(*spec.DefaultValue), 1)
		}
		problems = append(problems, p)
	}
	return problems
}

func (c *Connector) has(spec *wit.ConfigKey) bool {
	return slices.ContainsFunc(spec.Names(), func(name string) bool {
		_, ok := c.Get(name)
		return ok
	})
}

func (c *Connector) missing(name string) Problem {
	return Problem{File: c.File, Line: 1, Setting: name, Code: setting.CodeMissing, Text: setting.Missing(name)}
}

func commonRules(c *Connector, kind wit.ComponentKind) Problems {
	var problems Problems
	if e, ok := c.Entry("name"); ok {
		name := setting.Trim(e.Value.Reveal())
		if name == "" {
			problems = append(problems, e.problem("expected a name, found nothing; without this line it is the file's"))
		} else if strings.ContainsFunc(name, unicode.IsControl) {
			problems = append(problems, e.problem("expected a name without control characters, found %q", name))
		}
	}
	if kind != wit.ComponentSink {
		return append(problems, c.topicCreation()...)
	}
	if most, given := c.Entry("tasks.max"); given {
		if n, ok := setting.ParseInt(wit.KindInt, most.Value.Reveal()); ok && n > MaxSinkTasks {
			problems = append(problems, most.codedProblem(setting.CodeInvalid, setting.Invalid(most.Key,
				most.Value.String(), fmt.Sprintf("Value must be no more than %d", MaxSinkTasks))))
		}
	}
	topics, regex := List(c.Text("topics")), c.Text("topics.regex")
	entry, _ := c.Entry("topics.regex")
	switch {
	case len(topics) > 0 && regex != "":
		list, _ := c.Entry("topics")
		for _, e := range []Entry{list, entry} { // each of them, as Kafka Connect counts
			problems = append(problems, e.problem("topics and topics.regex are mutually exclusive "+
				"options, but both are set."))
		}
	case regex != "":
		if _, err := pattern.Compile(regex); err != nil {
			problems = append(problems, entry.codedProblem(setting.CodeInvalid, setting.Invalid(entry.Key, regex,
				"Invalid regex: "+err.Error())))
		}
	}
	if dead := c.Text("errors.deadletterqueue.topic.name"); dead != "" && slices.Contains(topics, dead) {
		e, _ := c.Entry("errors.deadletterqueue.topic.name")
		problems = append(problems, e.problem("expected a topic that is not among topics, found %q", dead))
	} else if whole, err := pattern.Compile(regex); dead != "" && regex != "" && err == nil {
		e, _ := c.Entry("errors.deadletterqueue.topic.name")
		if takes, err := MatchesTopic(whole, dead); err != nil {
			problems = append(problems, e.problem("topics.regex: %v", err))
		} else if takes {
			problems = append(problems, e.problem("expected a topic that topics.regex does not take, or dead letters "+
				"would be read as records, found %q", dead))
		}
	}
	return problems
}

const maxTopicExpressions = 10_000

func (c *Connector) topicCreation() (problems Problems) {
	groups, _ := c.Entry("topic.creation.groups")
	problems = c.duplicateAliases(groups)
	count := 0
	for _, e := range c.Entries {
		if !strings.HasPrefix(e.Key, "topic.creation.") || !strings.HasSuffix(e.Key, ".include") &&
			!strings.HasSuffix(e.Key, ".exclude") {
			continue
		}
		for _, text := range List(e.Value.Reveal()) {
			if count++; count > maxTopicExpressions {
				return append(problems, e.problem("expected at most %d expressions of topic.creation.* together, "+
					"found more", maxTopicExpressions))
			}
			if _, err := pattern.Compile(text); err != nil {
				problems = append(problems, e.codedProblem(setting.CodeInvalid, setting.Invalid(e.Key, text,
					"Invalid regex: "+err.Error())))
			}
		}
	}
	return problems
}

const regexTimeout = time.Second

// MatchesTopic reports whether an expression matches a whole topic name. It returns an error after one second.
func MatchesTopic(p pattern.Pattern, topic string) (bool, error) {
	ok, err := p.WithTimeout(regexTimeout).Matches(topic)
	if err != nil {
		return false, fmt.Errorf("the regular expression takes more than %s for the topic %q", regexTimeout, topic)
	}
	return ok, nil
}

// CheckStage checks a transformation or predicate. Unknown keys are warnings unless they look like known ones.
func (ch Checker) CheckStage(ctx context.Context, c *Connector, prefix string, component wit.Component) Problems {
	part, own := c.StageConfig(prefix), DeclareComponent(component)
	known := DeclareComponent(component)
	for name := range stageSettings {
		known.Declare(wit.ConfigKey{Name: name})
	}
	guess := setting.Suggester{Table: known, Budget: maxGuesses}
	var problems Problems
	for _, e := range part.Entries {
		if ctx.Err() != nil {
			break
		}
		spec, ok := own.Find(e.Key)
		if ok {
			// Kafka allows empty values of required settings here, for example ExtractField's field.
			spec.Rules = slices.DeleteFunc(slices.Clone(spec.Rules), func(r wit.Rule) bool { return r.Required != nil })
			found := ch.checkValue(e, &spec, own)
			if spec.Kind != wit.KindPassword && found.Err() == nil {
				found = nil // what a transform puts in may look like a reference
			}
			problems = append(problems, found...)
			continue
		}
		p := e.codedProblem(setting.CodeUnknown, setting.Unknown(guess.Nearest(e.Key)))
		if p.Warning = true; own.Prefix(e.Key) != "" {
			p = ch.unknownPrefixed(c, p)
		}
		if now := renamedSetting(component.Name, e.Key); now != "" {
			p.Text, p.Warning = "unknown setting; Kafka 4.0 took this name away", true
			switch _, both := part.Entry(now); {
			case both:
				p.Text += "; " + now + ", which stands beside it, counts"
			case len(List(e.Value.Reveal())) == 0:
				p.Text += "; it names no field"
			default:
				p.Text += ", it is " + now + " since 2.6, and without it every field stays"
				p = ch.unknownPrefixed(c, p)
			}
		}
		problems = append(problems, p)
	}
	at, _ := c.Entry(prefix + "type")
	for _, p := range missingSettings(ctx, part, own) {
		p.File, p.Line = at.File, at.Line
		problems = append(problems, p)
	}
	for i := range problems {
		problems[i].Setting = prefix + problems[i].Setting
	}
	if ctx.Err() != nil {
		problems = append(problems, c.checkCanceled(ctx))
	}
	return problems
}

// renamedSetting returns the new name of a setting that Kafka ignores since 4.0, so that excluded fields would pass.
func renamedSetting(class, name string) string {
	if !strings.HasPrefix(class, "org.apache.kafka.connect.transforms.ReplaceField$") {
		return ""
	}
	return map[string]string{"blacklist": "exclude", "whitelist": "include"}[name]
}

// ExpectedEntry returns an empty entry where a missing setting belongs: at its transformation or group, else at the
// top.
func (c *Connector) ExpectedEntry(name string) Entry {
	at := Entry{Key: name, File: c.File, Line: 1}
	if prefix := stagePrefix(name); prefix != "" {
		if typed, ok := c.Entry(prefix + "type"); ok {
			at.File, at.Line = typed.File, typed.Line
		}
		return at
	}
	group := name[:strings.LastIndexByte(name, '.')+1]
	for _, e := range c.Entries {
		if strings.ContainsAny(group, "0123456789") && strings.HasPrefix(e.Key, group) {
			at.Line = e.Line
			break
		}
	}
	return at
}

func stagePrefix(name string) string {
	for _, list := range []string{"transforms.", "predicates."} {
		if rest, ok := strings.CutPrefix(name, list); ok {
			if alias, _, ok := strings.Cut(rest, "."); ok {
				return list + alias + "."
			}
		}
	}
	return ""
}

// MaxSinkTasks is the largest number of tasks of a sink. Each is a Kafka client, even without a partition.
const MaxSinkTasks = 1000

// ValidationProblems converts the result of a plugin's validate, each at the line of its setting. Errors in found go
// first; a plugin cannot judge a password, which it does not see.
func ValidationProblems(c *Connector, prefix string, examined []wit.ConfigValue, found Problems) Problems {
	var problems Problems
	for _, x := range examined {
		if len(x.Errors) == 0 { // nearly all of them; to look for each would take as long again for each setting given
			continue
		}
		name := prefix + x.Key.Name
		if slices.ContainsFunc(found, func(p Problem) bool { return p.Setting == name && !p.Warning }) {
			continue
		}
		e, ok := c.Entry(name)
		if ok && x.Key.Kind == wit.KindPassword {
			continue
		}
		if !ok {
			e = c.ExpectedEntry(name)
		}
		for _, text := range x.Errors {
			problems = append(problems, e.problem("%s", text))
		}
	}
	return problems
}

// Declarations are the settings of a component or of Kafka Connect itself.
type Declarations = setting.Table

// maxGuesses bounds the comparisons for similar names of unknown settings: some hundred times what built-in plugins
// need.
const maxGuesses = 100_000_000

// Declare returns the Declarations of settings in order.
func Declare(specs ...wit.ConfigKey) *Declarations { return setting.NewTable(specs...) }

// DeclareComponent is [Declare] for a plugin's component, with its prefixes.
func DeclareComponent(c wit.Component) *Declarations { return setting.NewComponentTable(&c) }

// List splits a value at commas, see [setting.List].
func List(value string) []string { return setting.ParseList(value) }

// Boolean parses true, false, 1 and 0 in any case.
func Boolean(value string) (b, ok bool) { return setting.ParseBool(value) }

// CheckValue returns what is wrong with a value, in Kafka Connect's words, or "". It quotes the value only if shown is
// true and it is no password.
func CheckValue(spec *wit.ConfigKey, value string, shown bool) string {
	return setting.Check{Secret: !shown, Matches: matchesWhole}.Value(spec, value)
}

func matchesWhole(pattern, text string) bool {
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	return err != nil || re.MatchString(text)
}
