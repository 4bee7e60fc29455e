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

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// Checker checks connectors against declarations: Kafka Connect's own, and those of the connector's component.
type Checker struct {
	Worker *Worker
	// Embedded: the broker is the one that is built in.
	Embedded bool
	// OtherComponents are declarations of other components that are loaded: what one of them calls a password is shown
	// nowhere.
	OtherComponents []*Declarations
}

// CheckComponent checks what can be said by declarations alone, without asking the plugin: values, what is missing, and
// unknown keys. Unknown keys under the component's own prefixes are errors (P6: a misspelt filter would export the
// whole table), unless unknown.settings says warn; other unknown keys are warnings. A check that its context ends is a
// problem of its own.
func (ch Checker) CheckComponent(ctx context.Context, c *Connector, component wit.Component) Problems {
	own := DeclareComponent(component)
	frame := Declare(CommonSettings(component.Kind)...)
	// What is compared for the nearest names of unknown keys is made once, where there are any.
	guess := sync.OnceValue(func() *setting.Suggester {
		both := Declare(slices.Concat(own.Keys(), frame.Keys())...)
		both.Prefixes = own.Prefixes
		return &setting.Suggester{Table: both, Number: own.NumberIn(keys(c.Entries)), Budget: maxGuesses}
	})
	var problems Problems
	for _, e := range c.Entries {
		if ctx.Err() != nil {
			return append(problems, c.unchecked(ctx))
		}
		problems = append(problems, ch.entry(c, e, own, frame, guess)...)
	}
	for _, rule := range []func() Problems{
		func() Problems { return missing(ctx, c, frame) },
		func() Problems { return missing(ctx, c, own) },
		func() Problems { return place(c, own) },
		func() Problems { return uncounted(ctx, c, own) },
		func() Problems { return frameRules(c, component.Kind) },
	} {
		if ctx.Err() != nil {
			return append(problems, c.unchecked(ctx))
		}
		problems = append(problems, rule()...)
	}
	return problems
}

// unchecked is the problem of a connector whose check was ended.
func (c *Connector) unchecked(ctx context.Context) Problem {
	return Problem{File: c.File, Line: 1, Text: fmt.Sprintf("the check was ended: %v", context.Cause(ctx))}
}

func (ch Checker) entry(c *Connector, e Entry, own, frame *Declarations, guess func() *setting.Suggester) Problems {
	if text := lacking(e, ch.Worker, ch.Embedded); text != "" {
		return Problems{e.coded(setting.CodeInvalid, text)}
	}
	spec, ok := own.Find(e.Key)
	if !ok {
		spec, ok = frame.Find(e.Key)
	}
	switch {
	case ok:
		return ch.checkEntry(e, &spec, own)
	case own.Prefix(e.Key) == "" && belongs(c, e.Key):
		return client(e, ch.providers())
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

// refused is the problem of an unknown setting: an error that names the way round, or a warning where
// unknown.settings says so.
func (ch Checker) refused(c *Connector, p Problem) Problem {
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

// unknown is the problem of a key that nobody declared. What looks like a setting of the component's own is an error:
// under its prefix, or nearly so, or without the prefix.
func (ch Checker) unknown(c *Connector, e Entry, own *Declarations, guess *setting.Suggester) Problem {
	near := guess.Nearest(e.Key)
	if own.Prefix(e.Key) != "" || own.Prefix(near) != "" && !elsewhere(e.Key) {
		return ch.refused(c, e.coded(setting.CodeUnknown, setting.Unknown(near)))
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
	p := e.coded(setting.CodeUnknown, setting.Unknown(near))
	p.Warning = true
	return p
}

// elsewhere tells whether the key is a setting of something else than this connector.
func elsewhere(key string) bool {
	_, ok := common.Find(key)
	return ok || hasSpec(workerSettings, key) || hasPrefix(key, []string{"transforms.", "predicates."})
}

func hasSpec(specs []wit.ConfigKey, key string) bool {
	return slices.ContainsFunc(specs, func(s wit.ConfigKey) bool { return s.Name == key })
}

// client looks at what a connector changes about its Kafka clients, as far as a look at the value says something.
func client(e Entry, providers *Providers) Problems {
	for _, prefix := range []string{"producer.override.", "consumer.override.", "admin.override."} {
		name, ok := strings.CutPrefix(e.Key, prefix)
		if i := slices.IndexFunc(workerSettings, func(s wit.ConfigKey) bool { return s.Name == name }); ok && i >= 0 {
			return literal(e, &workerSettings[i], providers)
		}
	}
	if providers.HasUnknownProvider(e) && IsPassword(e.Key) && hasPrefix(e.Key,
		[]string{"key.converter.", "value.converter."}) {
		return Problems{providers.UnknownProvider(e, true)}
	}
	return nil
}

func (ch Checker) checkEntry(e Entry, spec *wit.ConfigKey, own *Declarations) Problems {
	if e.unresolved() {
		return nil
	}
	isSecret := isSecret(e.Key, append([]*Declarations{own}, ch.OtherComponents...)...)
	if name := spec.Role(); isSecret && name != "" {
		if r, known := role.Find(name); known && r.Kind != role.Secret && r.Kind != role.Either {
			return Problems{e.problem("is a secret, and the plugin has it used as %s, whose values are shown: it is "+
				"not used", name)}
		}
	}
	named := *spec
	named.Name = e.Key // rather than that which it is an alias of
	if text := CheckValue(&named, e.Value.Reveal(), !e.Value.Secret() && !isSecret); text != "" {
		return invalid(e, text, ch.providers())
	}
	return literal(e, spec, ch.providers())
}

// Mask stands for the value of a password wherever settings are shown.
const Mask = setting.Hidden

// variable is what a shell or a template would replace.
var variable = regexp.MustCompile(
	`^(\$[A-Za-z_][A-Za-z0-9_]*|\$[{(][A-Za-z_][A-Za-z0-9_]*[)}]|%[A-Za-z_][A-Za-z0-9_]*%)$`)

// quotedVariable is the same inside a value such as that of sasl.jaas.config.
var quotedVariable = regexp.MustCompile(
	`=\s*["']?(\$[A-Za-z_][A-Za-z0-9_]*|\$[{(][A-Za-z_][A-Za-z0-9_]*[)}])["']?\s*(;|\s|$)`)

// literal finds values that stand for others and that nobody replaces. A password of that kind would be sent, and its
// user be locked.
func literal(e Entry, spec *wit.ConfigKey, providers *Providers) Problems {
	value, password := setting.Trim(e.Raw), spec.Kind == wit.KindPassword
	switch {
	case password && value == Mask:
		return Problems{e.problem("expected a password, found what is shown in the place of one: write the password, " +
			"or a reference to it such as ${file:PATH:KEY}")}
	case password && value == "":
		return Problems{e.warning("is empty: expected a password, or no such line")}
	case providers.HasUnknownProvider(e):
		return Problems{providers.UnknownProvider(e, isSent(spec))}
	case password && !e.Value.Secret() && (variable.MatchString(value) || quotedVariable.MatchString(value)):
		return Problems{e.warning("looks like a variable, which nobody replaces: it is used as it stands. A variable " +
			"of the environment is ${env:NAME}")}
	}
	return nil
}

// isSent reports whether the host sends values of a setting, or decides by them where it sends.
func isSent(spec *wit.ConfigKey) bool {
	return spec.Kind == wit.KindPassword || hasPrefix(spec.Role(), []string{role.HTTP, role.TLS, role.Listener})
}

// CheckSent returns the problem of a setting that would be sent with a reference which no config provider has resolved,
// nil if there is none.
func (p *Providers) CheckSent(c *Connector, d *Declarations) error {
	for _, e := range c.Entries {
		if spec, ok := d.Find(e.Key); ok && isSent(&spec) && p.HasUnknownProvider(e) {
			return p.UnknownProvider(e, true)
		}
	}
	return nil
}

// HasUnknownProvider reports whether a part of a value looks like a reference to a config provider that there is not.
func (p *Providers) HasUnknownProvider(e Entry) bool {
	return slices.ContainsFunc(reference.FindAllStringSubmatch(e.Raw, -1), func(parts []string) bool {
		return p == nil || p.byName[parts[1]].kind == nil
	})
}

// UnknownProvider is the problem of a reference to a config provider that there is not. Kafka Connect uses it as it
// stands; sent: it would be sent in the place of a secret, and is refused.
func (p *Providers) UnknownProvider(e Entry, sent bool) Problem {
	const text = "looks like a reference to a config provider that there is not: it is %s. There are %s; the " +
		"worker's config.providers declares others"
	if sent {
		return e.problem(text, "not sent as it stands", p.names())
	}
	return e.warning(text, "used as it stands", p.names())
}

// invalid is the problem of a value that its setting cannot have. Where it looks like a reference that is why.
func invalid(e Entry, text string, providers *Providers) Problems {
	problems := Problems{e.coded(setting.CodeInvalid, text)}
	if providers.HasUnknownProvider(e) {
		problems = append(problems, providers.UnknownProvider(e, false))
	}
	return problems
}

// belongs tells whether a key is a stage's that `transforms` or `predicates` name, a converter's, a topic creation
// group's or a client's: they are looked at where those are.
func belongs(c *Connector, key string) bool {
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

// missing are the required settings that nobody gave. Templates can only be missing where validate says so.
func missing(ctx context.Context, c *Connector, d *Declarations) Problems {
	var problems Problems
	for _, spec := range d.Keys() {
		if ctx.Err() != nil {
			break
		}
		if setting.IsRequired(&spec) && !defaulted(&spec) && !strings.Contains(spec.Name, "{") && !c.gives(&spec) {
			problems = append(problems, c.missing(spec.Name))
		}
	}
	return problems
}

// place finds a service that is nowhere: settings with the roles of address and port are required unless a destination
// of BTP has both, and where the plugin has a default, which does not count for where a byte goes.
func place(c *Connector, d *Declarations) Problems {
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
		case v.spec.DefaultValue != nil && !r.Counts(*v.spec.DefaultValue):
			p := c.missing(v.spec.Name)
			p.Text = fmt.Sprintf("%s: the plugin's default %q does not count, since where requests go comes from the "+
				"user alone",
				strings.TrimSuffix(p.Text, "."), *v.spec.DefaultValue)
			problems = append(problems, p)
		}
	}
	return problems
}

// defaulted tells whether a setting that is not given has a value: a default that counts.
func defaulted(spec *wit.ConfigKey) bool {
	if spec.DefaultValue == nil {
		return false
	}
	r, known := role.Find(spec.Role())
	return !known || r.Counts(*spec.DefaultValue)
}

// uncounted warns of defaults that the plugin has and the host does not go by.
func uncounted(ctx context.Context, c *Connector, d *Declarations) Problems {
	var problems Problems
	for _, spec := range d.Keys() {
		if ctx.Err() != nil {
			break
		}
		if spec.DefaultValue == nil || defaulted(&spec) || strings.Contains(spec.Name, "{") || c.gives(&spec) ||
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

// gives tells whether the connector has the setting, under its name or an alias.
func (c *Connector) gives(spec *wit.ConfigKey) bool {
	return slices.ContainsFunc(spec.Names(), func(name string) bool {
		_, ok := c.Get(name)
		return ok
	})
}

func (c *Connector) missing(name string) Problem {
	return Problem{File: c.File, Line: 1, Setting: name, Code: setting.CodeMissing, Text: setting.Missing(name)}
}

// frameRules are Kafka Connect's own rules across settings.
func frameRules(c *Connector, kind wit.ComponentKind) Problems {
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
		if n, ok := setting.Integer(wit.KindInt, most.Value.Reveal()); ok && n > MaxSinkTasks {
			problems = append(problems, most.coded(setting.CodeInvalid, setting.Invalid(most.Key,
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
			problems = append(problems, entry.coded(setting.CodeInvalid, setting.Invalid(entry.Key, regex,
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

// maxTopicExpressions is the largest number of expressions of a connector's topic.creation.*, which take a second to
// compile.
const maxTopicExpressions = 10_000

// topicCreation checks the expressions of the groups of new topics.
func (c *Connector) topicCreation() (problems Problems) {
	groups, _ := c.Entry("topic.creation.groups")
	problems = c.twice(groups)
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
				problems = append(problems, e.coded(setting.CodeInvalid, setting.Invalid(e.Key, text,
					"Invalid regex: "+err.Error())))
			}
		}
	}
	return problems
}

// regexWithin is how long an expression may take for one topic's name.
const regexWithin = time.Second

// MatchesTopic tells whether an expression of a setting takes a topic: it must match the whole name. One that takes
// longer than a second is an error, or a topic would be passed over by the time that a machine had.
func MatchesTopic(p pattern.Pattern, topic string) (bool, error) {
	ok, err := p.Within(regexWithin).Matches(topic)
	if err != nil {
		return false, fmt.Errorf("the regular expression takes more than %s for the topic %q", regexWithin, topic)
	}
	return ok, nil
}

// CheckStage checks the settings of a transform or predicate: values and what is missing. Unknown keys are warnings
// unless they look like known ones.
func (ch Checker) CheckStage(ctx context.Context, c *Connector, prefix string, component wit.Component) Problems {
	part, own := c.StageConfig(prefix), DeclareComponent(component)
	known := DeclareComponent(component)
	for name := range framework {
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
			// What is required of a transform may be empty, as ExtractField's field in Kafka: the plugin says if not.
			spec.Rules = slices.DeleteFunc(slices.Clone(spec.Rules), func(r wit.Rule) bool { return r.Required != nil })
			found := ch.checkEntry(e, &spec, own)
			if spec.Kind != wit.KindPassword && found.Err() == nil {
				found = nil // what a transform puts in may look like a reference
			}
			problems = append(problems, found...)
			continue
		}
		// Kafka Connect does not look at settings that a transform does not know, and its users' files run unchanged.
		p := e.coded(setting.CodeUnknown, setting.Unknown(guess.Nearest(e.Key)))
		if p.Warning = true; own.Prefix(e.Key) != "" {
			p = ch.refused(c, p)
		}
		if now := renamed(component.Name, e.Key); now != "" {
			p.Text, p.Warning = "unknown setting; Kafka 4.0 took this name away", true
			switch _, both := part.Entry(now); {
			case both:
				p.Text += "; " + now + ", which stands beside it, counts"
			case len(List(e.Value.Reveal())) == 0:
				p.Text += "; it names no field"
			default:
				p.Text += ", it is " + now + " since 2.6, and without it every field stays"
				p = ch.refused(c, p)
			}
		}
		problems = append(problems, p)
	}
	at, _ := c.Entry(prefix + "type")
	for _, p := range missing(ctx, part, own) {
		p.File, p.Line = at.File, at.Line
		problems = append(problems, p)
	}
	for i := range problems {
		problems[i].Setting = prefix + problems[i].Setting
	}
	if ctx.Err() != nil {
		problems = append(problems, c.unchecked(ctx))
	}
	return problems
}

// renamed is the name that Kafka's own class has today for a setting that it read before 4.0, "" for none. Files that
// still have it are common, and Kafka passes it over: fields that were to be left out would go on.
func renamed(class, name string) string {
	if !strings.HasPrefix(class, "org.apache.kafka.connect.transforms.ReplaceField$") {
		return ""
	}
	return map[string]string{"blacklist": "exclude", "whitelist": "include"}[name]
}

// ExpectedEntry is where a setting that is not given would stand, without a value: that of a transform or predicate
// with its type, others with the first of their group, as in `shop#01.`, else at the top.
func (c *Connector) ExpectedEntry(name string) Entry {
	at := Entry{Key: name, File: c.File, Line: 1}
	if prefix := partOf(name); prefix != "" {
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

// partOf is the prefix of the transform or predicate that a setting belongs to, as in `transforms.ALIAS.`, "" for none.
func partOf(name string) string {
	for _, list := range []string{"transforms.", "predicates."} {
		if rest, ok := strings.CutPrefix(name, list); ok {
			if alias, _, ok := strings.Cut(rest, "."); ok {
				return list + alias + "."
			}
		}
	}
	return ""
}

// MaxSinkTasks is how many tasks a sink may have. Each is a client of Kafka and a member of the group from the start
// on, whether or not there are so many partitions.
const MaxSinkTasks = 1000

// ValidationProblems turns what a plugin's validate said into problems, each at the line of its setting. What this
// package found about a setting itself goes before what the plugin says of it, and of a password that was given a
// plugin can know nothing.
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
