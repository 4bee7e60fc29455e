// Package transform runs the chain of transforms of a connector over batches. Stages that stand side by side and come
// from one version of one plugin go to it as one chain, to be fused there; a predicate of one plugin on a transform of
// another is asked first, and only the rows that it means are sent on.
package transform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Stage is one transform of a connector's configuration.
type Stage struct {
	// Alias is the user's name for it, as in `transforms.<alias>.type`.
	Alias string
	// Class and Version choose the component; Version "" is the newest.
	Class, Version string
	// Settings are those below `transforms.<alias>.` that a version of the plugin may see.
	Settings  func(plugin.Info) []wit.Setting
	Predicate *Predicate
	// Negate sends the rows here that the predicate does not match.
	Negate bool
}

// Predicate decides which rows a stage sees.
type Predicate struct {
	Alias, Class, Version string
	Settings              func(plugin.Info) []wit.Setting
}

// Options of a [Chain].
type Options struct {
	Manager   *plugin.Manager
	Connector string
	Stages    []Stage
	// Logger gets a line for each row that trapped a plugin. Default slog.Default().
	Logger *slog.Logger
	// BatchRows is the most rows in one call of a plugin. Default 500.
	BatchRows int
	// Isolated: it is none of its connector's tasks that the chain is for. It stays with the versions that it was bound
	// to, and what becomes of its calls says nothing of a version that is on trial.
	Isolated bool
}

// maxGrowth is how many bytes of data and rows the plugins of one group may add to a batch that is sent to them in
// several calls: each call has its own bound, `plugin.NAME.limits.result.bytes`, but a batch may have any number of
// them.
const maxGrowth = 256 << 20

// rowBytes is what a row takes besides its data.
const rowBytes = 80

// Chain is the transforms of one task. It belongs to one goroutine.
type Chain struct {
	groups []group
	limit  int
	logger *slog.Logger
	// input is the rows as they came, faults what failed since.
	input  []wit.Row
	faults []wit.RowError
	// piece, chosen, others and out hold parts of a batch.
	piece, chosen record.Batch
	others, out   []wit.Row
	// origins are those of the rows of a part, by their places in it.
	origins []uint32
}

// group is stages that go to one plugin in one call.
type group struct {
	chain *prepared
	// first is the place of its first stage in the chain; aliases are those of all.
	first   int
	aliases []string
	// condition is a predicate of another plugin, in front of a single stage; nil: none.
	condition *prepared
	negate    bool
}

// New binds the stages to plugins and prepares them. Its errors name the settings at fault: `transforms.<alias>.…`.
func New(ctx context.Context, o Options) (*Chain, error) {
	c := &Chain{limit: o.BatchRows, logger: o.Logger}
	if c.limit <= 0 {
		c.limit = 500
	}
	if c.logger == nil {
		c.logger = slog.Default()
	}
	if err := c.bind(o); err != nil {
		c.Close()
		return nil, err
	}
	for i := range c.groups {
		g := &c.groups[i]
		for _, p := range []*prepared{g.chain, g.condition} {
			if p == nil {
				continue
			}
			if err := p.prepare(ctx); err != nil {
				c.Close()
				return nil, fmt.Errorf("transforms.%s: %w", strings.Join(g.aliases, ", transforms."), err)
			}
		}
	}
	return c, nil
}

// bind finds the plugins and puts neighbours together.
func (c *Chain) bind(o Options) error {
	for i, s := range o.Stages {
		at := "transforms." + s.Alias + "."
		own, err := o.Manager.Bind(o.Connector, wit.ComponentTransformation, s.Class, s.Version)
		if err != nil {
			return fmt.Errorf("%stype: %w", at, err)
		}
		stage := staged{Stage: wit.Stage{Component: s.Class}, settings: s.Settings}
		var other *prepared
		if s.Predicate != nil {
			b, err := o.Manager.Bind(o.Connector, wit.ComponentPredicate, s.Predicate.Class, s.Predicate.Version)
			if err != nil {
				own.Close()
				return fmt.Errorf("predicates.%s.type, asked for by %spredicate: %w", s.Predicate.Alias, at, err)
			}
			if same(own, b) && s.Version == s.Predicate.Version {
				stage.Condition = &wit.Condition{Component: s.Predicate.Class, Negate: s.Negate}
				stage.condition = s.Predicate.Settings
				b.Close()
			} else {
				other = &prepared{binding: b, aside: o.Isolated,
					stages: []staged{{Stage: wit.Stage{Component: s.Predicate.Class},
						settings: s.Predicate.Settings}}}
			}
		}
		if n := len(c.groups); other == nil && n > 0 && c.groups[n-1].takes(own, s.Version) {
			g := &c.groups[n-1]
			g.chain.stages, g.aliases = append(g.chain.stages, stage), append(g.aliases, s.Alias)
			own.Close()
			continue
		}
		c.groups = append(c.groups, group{first: i, aliases: []string{s.Alias}, condition: other, negate: s.Negate,
			chain: &prepared{binding: own, version: s.Version, aside: o.Isolated, stages: []staged{stage}}})
	}
	return nil
}

// takes reports whether a stage of this binding may join the group.
func (g *group) takes(b *plugin.Binding, version string) bool {
	return g.condition == nil && g.chain.version == version && same(g.chain.binding, b)
}

// same reports whether two bindings run the same module now.
func same(a, b *plugin.Binding) bool {
	return a.Current().Module().Hash == b.Current().Module().Hash
}

// Close lets go of the plugins.
func (c *Chain) Close() {
	for i := range c.groups {
		c.groups[i].chain.binding.Close()
		if c.groups[i].condition != nil {
			c.groups[i].condition.binding.Close()
		}
	}
}

// Status is the state of the plugins of the stages, by alias.
func (c *Chain) Status() map[string]plugin.Status {
	all := map[string]plugin.Status{}
	for i := range c.groups {
		for _, alias := range c.groups[i].aliases {
			all[alias] = c.groups[i].chain.binding.Status()
		}
	}
	return all
}

// Apply sends a batch through the chain. b.Rows becomes what comes out, in order; a row keeps the Origin and Offset of
// the one that it was made of; what plugins wrote is appended to b.Data. Rows that fail are taken out, with all that
// was made of the same one: their faults come back in order, one for each, with Origin as the place in b.Rows as it
// was ([Chain.Input] has the row) and Stage as the place in the whole chain. A row that traps a plugin is found by
// halving and fails alone. The faults are valid until the next call. On an error nothing can be said of b.
//
// Newer versions of the plugins take over at the start of a call, if they can prepare the same stages.
func (c *Chain) Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error) {
	if len(c.groups) == 0 {
		return nil, nil
	}
	c.input = append(c.input[:0], b.Rows...)
	c.faults = c.faults[:0]
	for i := range b.Rows {
		b.Rows[i].RowIndex = uint32(i)
	}
	for i := range c.groups {
		g := &c.groups[i]
		g.chain.swap(ctx)
		if g.condition != nil {
			g.condition.swap(ctx)
		}
		if err := c.run(ctx, g, b); err != nil {
			return nil, fmt.Errorf("transforms.%s: %w", strings.Join(g.aliases, ", transforms."), err)
		}
	}
	slices.SortStableFunc(c.faults, func(a, b wit.RowError) int { return int(a.RowIndex) - int(b.RowIndex) })
	c.faults = slices.CompactFunc(c.faults, func(a, b wit.RowError) bool { return a.RowIndex == b.RowIndex })
	if len(c.faults) > 0 {
		b.Rows = slices.DeleteFunc(b.Rows, c.failed)
	}
	for i := range b.Rows {
		b.Rows[i].RowIndex = c.input[b.Rows[i].RowIndex].RowIndex
	}
	return c.faults, nil
}

// failed reports whether something that was made of the same row has failed, in another plugin too.
func (c *Chain) failed(r wit.Row) bool {
	_, found := slices.BinarySearchFunc(c.faults, r.RowIndex,
		func(f wit.RowError, origin uint32) int { return cmp.Compare(f.RowIndex, origin) })
	return found
}

// Input is a row of the last batch as it came; its bytes are in the batch still. It is valid until the next Apply.
func (c *Chain) Input(origin uint32) wit.Row { return c.input[origin] }

// run sends all rows through a group, some at a time.
func (c *Chain) run(ctx context.Context, g *group, b *record.Batch) error {
	if g.condition == nil && len(b.Rows) <= c.limit {
		return c.part(ctx, g, b)
	}
	rows := b.Rows
	c.piece.Registry, c.piece.Topics, c.piece.Data, c.piece.Held = b.Registry, b.Topics, b.Data, b.Held
	defer func() { // the memory is the batch's: the next one has another
		c.piece.Topics, c.piece.Data, c.piece.Held = nil, nil, nil
		c.chosen.Topics, c.chosen.Data, c.chosen.Held = nil, nil, nil
	}()
	c.out = c.out[:0]
	for from := 0; from < len(rows); from += c.limit {
		c.piece.Rows = append(c.piece.Rows[:0], rows[from:min(from+c.limit, len(rows))]...)
		var err error
		if g.condition == nil {
			err = c.part(ctx, g, &c.piece)
		} else {
			err = c.conditional(ctx, g, &c.piece)
		}
		if err != nil {
			return err
		}
		c.out = append(c.out, c.piece.Rows...)
		if made := len(c.piece.Data) - len(b.Data) + rowBytes*max(0, len(c.out)-len(rows)); made > maxGrowth {
			return fmt.Errorf("the results for one batch have %d bytes more than it: at most %d are allowed", made,
				maxGrowth)
		}
	}
	b.Rows, b.Topics, b.Data, b.Held = append(b.Rows[:0], c.out...), c.piece.Topics, c.piece.Data, c.piece.Held
	return nil
}

// part sends the rows of a small batch through a group's plugin.
func (c *Chain) part(ctx context.Context, g *group, b *record.Batch) error {
	faults, err := g.chain.apply(ctx, b)
	for g.chain.again(ctx, err) {
		faults, err = g.chain.apply(ctx, b)
	}
	if trap, ok := errors.AsType[*plugin.Trap](err); ok && ctx.Err() == nil {
		return c.halve(ctx, g, b, trap)
	}
	for _, f := range faults {
		f.Stage += uint32(g.first)
		c.faults = append(c.faults, f)
	}
	return err
}

// conditional asks the predicate of another plugin, sends the rows that it means through the stage and puts all
// together again, in their order.
func (c *Chain) conditional(ctx context.Context, g *group, b *record.Batch) error {
	matches, faults, err := c.ask(ctx, g, b)
	if err != nil {
		return err
	}
	failed := map[uint32]bool{}
	before := len(c.faults)
	for _, f := range faults {
		failed[f.RowIndex] = true
		f.Stage = uint32(g.first)
		c.faults = append(c.faults, f)
	}
	chosen := &c.chosen
	chosen.Registry, chosen.Topics, chosen.Data, chosen.Held = b.Registry, b.Topics, b.Data, b.Held
	chosen.Rows = chosen.Rows[:0]
	c.others, c.origins = c.others[:0], c.origins[:0]
	for i, row := range b.Rows {
		c.origins = append(c.origins, row.RowIndex)
		row.RowIndex = uint32(i) // its place: rows that were made of one row have its origin in common
		switch {
		case len(faults) > 0 && failed[uint32(i)]:
		case matches[i] != g.negate:
			chosen.Rows = append(chosen.Rows, row)
		default:
			c.others = append(c.others, row)
		}
	}
	if len(chosen.Rows) > 0 {
		if err := c.part(ctx, g, chosen); err != nil {
			return err
		}
	}
	b.Topics, b.Data, b.Held = chosen.Topics, chosen.Data, chosen.Held
	b.Rows = merge(b.Rows[:0], chosen.Rows, c.others)
	for i := range b.Rows {
		b.Rows[i].RowIndex = c.origins[b.Rows[i].RowIndex]
	}
	for i := range c.faults[before:] {
		f := &c.faults[before+i]
		f.RowIndex = c.origins[f.RowIndex]
	}
	return nil
}

// ask asks the predicate of each row. Faults name rows by their place in b; those that trap it are found by halving
// (P32).
func (c *Chain) ask(ctx context.Context, g *group, b *record.Batch) (matches []bool, faults []wit.RowError,
	err error) {
	matches, faults, err = g.condition.test(ctx, b)
	for g.condition.again(ctx, err) {
		matches, faults, err = g.condition.test(ctx, b)
	}
	trap, ok := errors.AsType[*plugin.Trap](err)
	switch {
	case !ok || ctx.Err() != nil:
		return matches, faults, err
	case len(b.Rows) == 1:
		return []bool{false}, []wit.RowError{c.trapped(g, 0, trap)}, nil
	}
	rows, middle := b.Rows, len(b.Rows)/2
	defer func() { b.Rows = rows }()
	b.Rows = rows[:middle]
	if matches, faults, err = c.ask(ctx, g, b); err != nil {
		return nil, nil, err
	}
	b.Rows = rows[middle:]
	more, others, err := c.ask(ctx, g, b)
	for i := range others {
		others[i].RowIndex += uint32(middle)
	}
	return append(matches, more...), append(faults, others...), err
}

// merge puts two lists of rows that are sorted by Origin into one; no origin is in both.
func merge(dst, a, b []wit.Row) []wit.Row {
	for len(a) > 0 && len(b) > 0 {
		if a[0].RowIndex < b[0].RowIndex {
			dst, a = append(dst, a[0]), a[1:]
		} else {
			dst, b = append(dst, b[0]), b[1:]
		}
	}
	return append(append(dst, a...), b...)
}

// halve sends a batch that trapped a plugin again in two parts, on other instances, until the rows that trap it stand
// alone: these fail (P32).
func (c *Chain) halve(ctx context.Context, g *group, b *record.Batch, trap *plugin.Trap) error {
	if len(b.Rows) == 1 {
		c.faults = append(c.faults, c.trapped(g, b.Rows[0].RowIndex, trap))
		b.Rows = b.Rows[:0]
		return nil
	}
	rows := slices.Clone(b.Rows)
	var out []wit.Row
	for _, half := range [][]wit.Row{rows[:len(rows)/2], rows[len(rows)/2:]} {
		b.Rows = append(b.Rows[:0], half...)
		if err := c.part(ctx, g, b); err != nil {
			return err
		}
		out = append(out, b.Rows...)
	}
	b.Rows = append(b.Rows[:0], out...)
	return nil
}

// trapped is the fault of a row that traps a plugin.
func (c *Chain) trapped(g *group, origin uint32, trap *plugin.Trap) wit.RowError {
	c.logger.Error("a row trapped a plugin", "transforms", g.aliases, "error", trap)
	return wit.RowError{RowIndex: origin, Stage: uint32(g.first), ErrorClass: trapClass,
		Error: wit.Error{Kind: wit.ErrorInternal, Message: trap.Error()}}
}

// trapClass is the class under which a dead letter names a trap.
const trapClass = "org.apache.kafka.connect.errors.ConnectException"
