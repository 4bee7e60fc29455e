package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// CheckResult is the result of [Check].
type CheckResult struct {
	// Info.Err says why the module was not loaded; there are no calls then.
	Info Info
	// MemoryBytes is the initial memory of an instance.
	MemoryBytes int64
	Limits      Limits
	// Metered is zero if the meter rejects the module.
	Metered  meter.Report
	Calls    []Call
	Findings []Finding
}

// Refused reports whether a finding prevents the module from being used.
func (c *CheckResult) Refused() bool {
	for _, f := range c.Findings {
		if f.Refused {
			return true
		}
	}
	return false
}

// Call is a call that [Check] made.
type Call struct {
	// Function is the contract's name, such as source.plan. Of is the component or command, "" for none.
	Function, Subject string
	// Answer is `answered`, a fault, or `trap`.
	Answer string
}

// Finding is a result of [Check]. A refused one prevents the module from being used or breaks the contract; others
// are advice.
type Finding struct {
	Refused bool
	// Where is a function or a component.
	Where, Text string
}

func (f Finding) String() string { return f.Where + ": " + f.Text }

// CheckTime bounds [Check], compiling and all calls together.
const CheckTime = time.Minute

// Check loads a file as a worker does and tries what must work without settings or a service: describe returns the
// same twice, validate responds for each component without settings, and every function returns when called with
// empty lists and the context of open or prepare. The error is about reading the file; a refused module is a finding.
func Check(ctx context.Context, path string, o Options) (*CheckResult, error) {
	return check(ctx, path, o, CheckTime)
}

func check(ctx context.Context, path string, o Options, timeout time.Duration) (*CheckResult, error) {
	data, err := code.ReadModule(path)
	if err != nil {
		return nil, err
	}
	named, err := limitsOf(o.Limits, o.Settings)
	if err != nil {
		return nil, err
	}
	checked := &CheckResult{Info: Info{Path: path, Hash: code.HashOf(data), Size: len(data)}}
	c := checker{CheckResult: checked}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(ctx, timeout) // from here on: compiling counts, too
	defer cancel()
	if o.Registry == nil {
		o.Registry = record.NewRegistry()
	}
	o.Idle, o.MemoryBytes = 0, 0
	l := loader{host: newHost(&o), limits: o.Limits.filled(), namedLimits: named}
	l.compiler.Time = timeout // l.kept is nil: what was refused before is tried again
	if _, report, err := meter.Rewrite(c.ctx, binary.Shaped(data), code.Metering); err == nil {
		checked.Metered = report
	}
	m, err := l.load(c.ctx, newCandidateFile(path, checked.Info.Hash, len(data)))
	if err == nil {
		defer m.freeIfUnused()
	}
	if c.ctx.Err() != nil && ctx.Err() == nil && err != nil {
		err = fmt.Errorf("expected it to be compiled and to say what it is within %v, which is for all of the check, "+
			"found that it was not: %w", timeout, err)
	}
	if err != nil {
		checked.Info.Err = err
		c.addFinding(true, "load", "%v", err)
		return checked, ctx.Err()
	}
	c.module = m
	c.describe()
	for n := range m.info.Components {
		c.component(&m.info.Components[n])
	}
	c.callAll()
	if c.skipped > 0 && ctx.Err() == nil {
		c.addFinding(true, "all calls", "expected compiling and all calls to take at most %v together, found that "+
			"%d calls "+
			"were made by then; the others were not tried", timeout, len(c.Calls))
	}
	c.Info, c.MemoryBytes, c.Limits = m.snapshot(), int64(m.binary.MemoryPages)*binary.PageBytes, m.limits
	return checked, ctx.Err()
}

type checker struct {
	*CheckResult
	ctx     context.Context
	module  *module
	skipped int
}

func (c *checker) addFinding(refused bool, where, format string, args ...any) {
	if f := (Finding{refused, where, fmt.Sprintf(format, args...)}); !slices.Contains(c.Findings, f) {
		c.Findings = append(c.Findings, f)
	}
}

// try calls f with a fresh instance while there is time. A panic is advice, any other trap is refused.
func (c *checker) try(function, of string, f func(*Instance) error) {
	if c.ctx.Err() != nil {
		c.skipped++
		return
	}
	i, err := c.module.newInstance(c.ctx, newBucket(c.module.limits.LogLinesPerSecond), nil)
	if err == nil {
		defer i.close()
		err = f(i)
	}
	answer := "answered"
	switch fault, ok := errors.AsType[*wit.Error](err); {
	case err == nil:
	case ok:
		answer = "fault: " + fault.Error()
	case c.ctx.Err() != nil && errors.Is(err, c.ctx.Err()):
		c.skipped++
		return
	default:
		answer = "trap"
		// A panic may be due to the empty arguments, and breaks no contract.
		trap, _ := errors.AsType[*Trap](err)
		panics, text := trap != nil && strings.Contains(trap.Output, "panic: "), err.Error()
		if panics {
			text, _, _ = strings.Cut(text, "\n")
		}
		c.addFinding(!panics, strings.TrimSpace(function+" "+of), "%s", text)
	}
	c.Calls = append(c.Calls, Call{function, of, answer})
}

// describe calls twice on one instance; the description at loading is from another instance.
func (c *checker) describe() {
	c.try("plugin.describe", "", func(i *Instance) error {
		for range 2 {
			d, err := i.Describe(c.ctx)
			if err != nil {
				return err
			}
			m := c.module.info
			if !reflect.DeepEqual(d, wit.Description{Name: m.Name, Version: m.Version, Documentation: m.Documentation,
				Components: m.Components}) {
				c.addFinding(true, "plugin.describe", "expected the same answer each time, found two")
				break
			}
		}
		return nil
	})
	c.checkPrintable("plugin.describe", "name", c.module.info.Name)
	c.checkPrintable("plugin.describe", "version", c.module.info.Version)
	c.checkPrintable("plugin.describe", "documentation", c.module.info.Documentation)
	if len(c.module.info.Components) == 0 && !c.module.info.Has(wit.InterfaceTools) {
		c.addFinding(false, "plugin.describe", "expected components or commands, found none")
	}
}

func (c *checker) checkPrintable(where, what, text string) {
	if shown.Line(text) != strings.NewReplacer("\n", " ", "\t", " ").Replace(text) {
		c.addFinding(false, where, "the %s holds control characters or others that do not show themselves, or is "+
			"longer "+
			"than %d characters: it is shown without them", what, shown.MaxLine)
	}
}

func (c *checker) checkTexts(where string, s *wit.ConfigKey) {
	of := inQuotes(s.Name)
	c.checkPrintable(where, "documentation of "+of, s.Documentation)
	if s.DefaultValue != nil {
		c.checkPrintable(where, "default of "+of, *s.DefaultValue)
		// A secret's default may stand for something else: it is never shown.
		if text := (setting.Check{AllowEmpty: true}).Value(s, *s.DefaultValue); text != "" && *s.DefaultValue != "" &&
			s.Kind != wit.KindPassword {
			c.addFinding(true, where, "the default of %s is none of its values: %s", of, text)
		}
	}
	for _, r := range s.Rules {
		for what, text := range map[string]*string{"alias": r.Alias, "group": r.Group, "display name": r.DisplayName,
			"role": r.Role} {
			if text != nil {
				c.checkPrintable(where, what+" of "+of, *text)
			}
		}
		if r.Allowed != nil {
			for _, value := range *r.Allowed {
				c.checkPrintable(where, "allowed value of "+of, value)
			}
		}
	}
}

func inQuotes(s string) string { return fmt.Sprintf("%.100q", s) }

func (c *checker) component(x *wit.Component) {
	where := x.Kind.String() + " " + x.Name
	if x.Documentation == "" {
		c.addFinding(false, where, "has no documentation")
	}
	c.checkPrintable(where, "name", x.Name)
	c.checkPrintable(where, "documentation", x.Documentation)
	for _, alias := range x.Aliases {
		c.checkPrintable(where, "alias "+inQuotes(alias), alias)
	}
	for _, prefix := range x.Prefixes {
		c.checkPrintable(where, "prefix "+inQuotes(prefix), prefix)
	}
	seen := map[string]bool{}
	for n := range x.Settings {
		s := &x.Settings[n]
		c.checkPrintable(where, "name of a setting", s.Name)
		c.checkTexts(where, s)
		if s.Name == "" || seen[s.Name] {
			c.addFinding(true, where, "expected setting names that are not empty and stand once, found %q", s.Name)
		}
		seen[s.Name] = true
		for _, r := range s.Rules {
			if r.Pattern == nil {
				continue
			}
			if _, err := regexp.Compile(*r.Pattern); err != nil {
				c.addFinding(true, where, "setting %s: expected a pattern of RE2: %v", s.Name, err)
			}
		}
	}
	for _, f := range role.Check(x) {
		c.addFinding(f.Fatal || f.Invalid, where, "%v", f)
	}
	c.try("plugin.validate", where, func(i *Instance) error {
		validation, err := i.Validate(c.ctx, x.Name, nil, false, nil, nil)
		switch fault, ok := errors.AsType[*wit.Error](err); {
		case ok:
			c.addFinding(false, where, "validate with nothing set is a fault: %v; expected errors with the settings",
				fault)
			return err
		case err != nil:
			return err
		case validation.Pending != nil:
			c.addFinding(true, where, "validate asks for documents although it is offline")
		default:
			c.checkAnswered(where, x, *validation.Done)
		}
		return nil
	})
}

func (c *checker) checkAnswered(where string, x *wit.Component, done []wit.ConfigValue) {
	answered := map[string]bool{}
	for _, e := range done {
		answered[e.Key.Name] = true
	}
	for _, s := range x.Settings {
		if !strings.Contains(s.Name, "{") && !answered[s.Name] {
			c.addFinding(false, where, "validate does not answer for the setting %s", s.Name)
		}
	}
}

func (c *checker) callAll() {
	for _, i := range c.module.info.Interfaces {
		switch i {
		case wit.InterfaceTools:
			c.tools()
		case wit.InterfaceSource:
			c.source()
		case wit.InterfaceNotifications:
			c.notifications()
		case wit.InterfaceRetirement:
			c.each(wit.ComponentSource, "retirement.retire", func(i *Instance, component string) error {
				_, err := i.Retire(c.ctx, component, nil, nil, nil, nil)
				return err
			})
		case wit.InterfaceSink:
			c.sink()
		case wit.InterfaceTransform:
			c.transform()
		}
	}
}

func (c *checker) each(kind wit.ComponentKind, function string, f func(i *Instance, component string) error) {
	for n := range c.module.info.Components {
		if x := &c.module.info.Components[n]; x.Kind == kind {
			c.try(function, x.Name, func(i *Instance) error { return f(i, x.Name) })
		}
	}
}

func (c *checker) batch() *record.Batch {
	return &record.Batch{Registry: c.module.host.registry, Topics: []string{"t"}}
}

func (c *checker) tools() {
	var commands []wit.Command
	c.try("tools.commands", "", func(i *Instance) (err error) {
		if commands, err = i.Commands(c.ctx); err == nil {
			if refused := CheckCommands(commands); refused != nil { // another answer than at loading
				c.addFinding(true, "tools.commands", "%v", refused)
			}
		}
		return err
	})
	for n := range commands {
		command := &commands[n]
		where := "command " + command.Name
		c.checkPrintable(where, "usage", command.Usage)
		for o := range command.Options {
			c.checkTexts(where, &command.Options[o])
		}
		c.try("tools.run", command.Name, func(i *Instance) error {
			_, err := i.Run(c.ctx, command.Name, nil, nil, nil, nil)
			return err
		})
	}
}

func (c *checker) source() {
	c.each(wit.ComponentSource, "source.plan", func(i *Instance, component string) error {
		_, err := i.Plan(c.ctx, component, nil, 1)
		return err
	})
	var opened []byte
	c.each(wit.ComponentSource, "source.open", func(i *Instance, component string) error {
		opening, err := i.OpenSource(c.ctx, component, nil, nil, nil)
		if opening.Ready != nil {
			opened = opening.Ready.Context
		}
		return err
	})
	c.try("source.next", "", func(i *Instance) error {
		_, err := i.Next(c.ctx, opened, 0, nil, wit.PollReason{Start: wit.Set}, 0)
		return err
	})
	// Without a page, decode and abandon are called for number 0, which the plugin must reject.
	page := func(i *Instance) (uint32, error) {
		return i.Begin(c.ctx, opened, 0, &[]wit.OffsetEntry{}, wit.Response{Status: 200})
	}
	c.try("source.begin", "", func(i *Instance) error { _, err := page(i); return err })
	c.try("source.decode", "", func(i *Instance) error {
		n, _ := page(i)
		_, err := i.Decode(c.ctx, n, "", 200, nil, true, c.batch())
		return err
	})
	c.try("source.abandon", "", func(i *Instance) error { n, _ := page(i); return i.Abandon(c.ctx, n) })
	c.try("source.check-offset", "", func(i *Instance) error { return i.CheckOffset(c.ctx, nil, nil) })
}

func (c *checker) notifications() {
	c.try("notifications.handle-notification", "", func(i *Instance) error {
		_, err := i.HandleNotification(c.ctx, nil, wit.Notification{Method: "GET"})
		return err
	})
	c.try("notifications.subscribe", "", func(i *Instance) error {
		_, err := i.Subscribe(c.ctx, nil, 0, "", nil, nil)
		return err
	})
}

func (c *checker) sink() {
	var opened []byte
	c.each(wit.ComponentSink, "sink.open", func(i *Instance, component string) error {
		opening, err := i.OpenSink(c.ctx, component, nil, nil, nil)
		if opening.Ready != nil {
			opened = opening.Ready.Context
		}
		return err
	})
	c.try("sink.encode", "", func(i *Instance) error {
		_, err := i.Encode(c.ctx, opened, c.batch(), record.RecordIDs{}, nil)
		return err
	})
	c.try("sink.handle-response", "", func(i *Instance) error {
		_, err := i.HandleResponse(c.ctx, opened, nil, nil, wit.Response{Status: 200})
		return err
	})
}

func (c *checker) transform() {
	var prepared []byte
	c.try("transform.prepare", "", func(i *Instance) (err error) { prepared, err = i.Prepare(c.ctx, nil); return err })
	c.try("transform.apply", "", func(i *Instance) error {
		_, _, err := i.applyChunk(c.ctx, prepared, c.batch(), 0)
		return err
	})
	predicates := slices.ContainsFunc(c.module.info.Components,
		func(x wit.Component) bool { return x.Kind == wit.ComponentPredicate })
	c.try("transform.test", "", func(i *Instance) error {
		_, _, err := i.Test(c.ctx, prepared, c.batch())
		if !predicates && isA[*wit.Error](err) {
			return nil // it has no predicates, and says so
		}
		return err
	})
}
