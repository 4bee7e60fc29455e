// Package transform runs the transforms of a connector on batches. Adjacent stages of one version of one plugin are
// called as one chain, which the plugin can fuse. A predicate of another plugin is tested first.
package transform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Stage is a configured transform.
type Stage struct {
	Alias string // the name in `transforms.<alias>.type`
	// Class and Version select the component; an empty version is the newest.
	Class   string
	Version string
	// Settings returns the settings below `transforms.<alias>.` that a version of the plugin may see.
	Settings  func(plugin.Info) []wit.Setting
	Predicate *Predicate
	Negate    bool // inverts the predicate
}

// Predicate decides which rows a stage receives.
type Predicate struct {
	Alias    string
	Class    string
	Version  string
	Settings func(plugin.Info) []wit.Setting
}

// Options configure a [Chain].
type Options struct {
	Manager   *plugin.Manager
	Connector string
	Stages    []Stage
	Logger    *slog.Logger // for each row that traps a plugin; nil means slog.Default()
	BatchRows int          // the maximum of rows of one plugin call; zero means 500
	// Isolated is set for a chain that belongs to no task: it keeps its plugin versions, and does not try new ones.
	Isolated bool
}

const (
	maxGrowth = 256 << 20 // bytes that one group's plugin calls may add to a batch
	rowBytes  = 80        // about the memory of a row, without its data
)

// Chain applies the transforms of one task, each by its plugin. It belongs to one goroutine.
type Chain struct {
	groups  []group
	limit   int // the rows of one plugin call
	logger  *slog.Logger
	input   []wit.Row // of the last call of Apply, as rowErrs
	rowErrs []wit.RowError
	// Each call reuses the memory of the following fields.
	piece      record.Batch
	matched    record.Batch
	unmatched  []wit.Row
	out        []wit.Row
	rowIndexes []uint32
}

// group has adjacent stages that are one call of a plugin.
type group struct {
	chain     *preparedStages
	first     int // the position of its first stage in the chain
	aliases   []string
	condition *preparedStages // a predicate of another plugin for a single stage, or nil
	negate    bool
}

// New binds the stages to plugins and prepares them. Errors name the setting, `transforms.<alias>.…`.
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
		group := &c.groups[i]
		for _, p := range []*preparedStages{group.chain, group.condition} {
			if p == nil {
				continue
			}
			if err := p.prepare(ctx); err != nil {
				c.Close()
				return nil, fmt.Errorf("transforms.%s: %w", strings.Join(group.aliases, ", transforms."),
					p.withPlugin(err))
			}
		}
	}
	return c, nil
}

// bind binds the stages to plugins and forms the groups.
func (c *Chain) bind(o Options) error {
	for i, s := range o.Stages {
		prefix := "transforms." + s.Alias + "."
		binding, err := o.Manager.Bind(o.Connector, wit.ComponentTransformation, s.Class, s.Version)
		if err != nil {
			return fmt.Errorf("%stype: %w", prefix, err)
		}
		stage := boundStage{Stage: wit.Stage{Component: s.Class}, settings: s.Settings}
		var predicate *preparedStages
		if s.Predicate != nil {
			b, err := o.Manager.Bind(o.Connector, wit.ComponentPredicate, s.Predicate.Class, s.Predicate.Version)
			if err != nil {
				binding.Close()
				return fmt.Errorf("predicates.%s.type, used by %spredicate: %w", s.Predicate.Alias, prefix, err)
			}
			// The plugin of the transform tests its own predicates, in the same call.
			if sameModule(binding, b) && s.Version == s.Predicate.Version {
				stage.Condition = &wit.Condition{Component: s.Predicate.Class, Negate: s.Negate}
				stage.condition = s.Predicate.Settings
				b.Close()
			} else {
				predicate = &preparedStages{binding: b, isolated: o.Isolated,
					stages: []boundStage{{Stage: wit.Stage{Component: s.Predicate.Class},
						settings: s.Predicate.Settings}}}
			}
		}
		if n := len(c.groups); predicate == nil && n > 0 && c.groups[n-1].accepts(binding, s.Version) {
			g := &c.groups[n-1]
			g.chain.stages = append(g.chain.stages, stage)
			g.aliases = append(g.aliases, s.Alias)
			binding.Close()
			continue
		}
		c.groups = append(c.groups, group{first: i, aliases: []string{s.Alias}, condition: predicate, negate: s.Negate,
			chain: &preparedStages{binding: binding, version: s.Version, isolated: o.Isolated,
				stages: []boundStage{stage}}})
	}
	return nil
}

func (g *group) accepts(b *plugin.Binding, version string) bool {
	return g.condition == nil && g.chain.version == version && sameModule(g.chain.binding, b)
}

func sameModule(a, b *plugin.Binding) bool {
	return a.Current().Module().Hash == b.Current().Module().Hash
}

// Close releases the plugins.
func (c *Chain) Close() {
	for i := range c.groups {
		c.groups[i].chain.binding.Close()
		if c.groups[i].condition != nil {
			c.groups[i].condition.binding.Close()
		}
	}
}

// Status returns the state of the stages' plugins, by alias.
func (c *Chain) Status() map[string]plugin.Status {
	byAlias := map[string]plugin.Status{}
	for i := range c.groups {
		for _, alias := range c.groups[i].aliases {
			byAlias[alias] = c.groups[i].chain.binding.Status()
		}
	}
	return byAlias
}

// Named returns an error of a stage as an [Error] with the stage's plugin.
func (c *Chain) Named(stage uint32, err error) error {
	for i := len(c.groups) - 1; i >= 0; i-- {
		if c.groups[i].first <= int(stage) {
			return c.groups[i].chain.withPlugin(err)
		}
	}
	return err
}

// Apply applies the transforms to a batch. It replaces b.Rows by the results, in order, and appends to b.Data; a row
// keeps the index and Offset of its input row. If a row fails, all of its results are removed, and there is one error,
// in order, with the position in b.Rows ([Chain.Input] returns the row) and the position of the transform. A row that
// traps a plugin fails alone. The errors are valid until the next call. After an error b is invalid.
//
// A newer plugin version is used from the start of a call on, if it can prepare the same stages.
func (c *Chain) Apply(ctx context.Context, b *record.Batch) ([]wit.RowError, error) {
	if len(c.groups) == 0 {
		return nil, nil
	}
	c.input = append(c.input[:0], b.Rows...)
	c.rowErrs = c.rowErrs[:0]
	for i := range b.Rows {
		b.Rows[i].RowIndex = uint32(i)
	}
	for i := range c.groups {
		group := &c.groups[i]
		group.chain.upgrade(ctx)
		if group.condition != nil {
			group.condition.upgrade(ctx)
		}
		if err := c.run(ctx, group, b); err != nil {
			return nil, fmt.Errorf("transforms.%s: %w", strings.Join(group.aliases, ", transforms."), err)
		}
	}
	slices.SortStableFunc(c.rowErrs, func(a, b wit.RowError) int { return int(a.RowIndex) - int(b.RowIndex) })
	c.rowErrs = slices.CompactFunc(c.rowErrs, func(a, b wit.RowError) bool { return a.RowIndex == b.RowIndex })
	if len(c.rowErrs) > 0 {
		b.Rows = slices.DeleteFunc(b.Rows, c.hasFailed)
	}
	for i := range b.Rows {
		b.Rows[i].RowIndex = c.input[b.Rows[i].RowIndex].RowIndex
	}
	return c.rowErrs, nil
}

func (c *Chain) hasFailed(r wit.Row) bool {
	_, ok := slices.BinarySearchFunc(c.rowErrs, r.RowIndex,
		func(f wit.RowError, origin uint32) int { return cmp.Compare(f.RowIndex, origin) })
	return ok
}

// Input returns an input row of the last call, valid until the next Apply; its bytes are still in the batch.
func (c *Chain) Input(origin uint32) wit.Row { return c.input[origin] }

func (c *Chain) run(ctx context.Context, group *group, b *record.Batch) error {
	if group.condition == nil && len(b.Rows) <= c.limit {
		return c.applyGroup(ctx, group, b)
	}
	// Apply the group to pieces of at most c.limit rows.
	rows := b.Rows
	c.piece.Registry = b.Registry
	c.piece.Topics = b.Topics
	c.piece.Data = b.Data
	c.piece.Retained = b.Retained
	defer func() { // the memory belongs to the batch
		c.piece.Topics = nil
		c.piece.Data = nil
		c.piece.Retained = nil
		c.matched.Topics = nil
		c.matched.Data = nil
		c.matched.Retained = nil
	}()
	c.out = c.out[:0]
	for from := 0; from < len(rows); from += c.limit {
		c.piece.Rows = append(c.piece.Rows[:0], rows[from:min(from+c.limit, len(rows))]...)
		var err error
		if group.condition == nil {
			err = c.applyGroup(ctx, group, &c.piece)
		} else {
			err = c.applyConditional(ctx, group, &c.piece)
		}
		if err != nil {
			return err
		}
		c.out = append(c.out, c.piece.Rows...)
		if added := len(c.piece.Data) - len(b.Data) + rowBytes*max(0, len(c.out)-len(rows)); added > maxGrowth {
			return fmt.Errorf("expected at most %d bytes more than the batch in its results, found %d", maxGrowth,
				added)
		}
	}
	b.Rows = append(b.Rows[:0], c.out...)
	b.Topics = c.piece.Topics
	b.Data = c.piece.Data
	b.Retained = c.piece.Retained
	return nil
}

func (c *Chain) applyGroup(ctx context.Context, group *group, b *record.Batch) error {
	rowErrs, err := group.chain.apply(ctx, b)
	for group.chain.retry(ctx, err) {
		rowErrs, err = group.chain.apply(ctx, b)
	}
	if trap, ok := errors.AsType[*plugin.Trap](err); ok && ctx.Err() == nil {
		return c.bisect(ctx, group, b, trap)
	}
	for _, f := range rowErrs {
		f.Stage += uint32(group.first)
		c.rowErrs = append(c.rowErrs, f)
	}
	return group.chain.withPlugin(err)
}

// applyConditional tests a predicate of another plugin, applies the stage to matching rows and merges all rows.
func (c *Chain) applyConditional(ctx context.Context, group *group, b *record.Batch) error {
	matches, rowErrs, err := c.testRows(ctx, group, b)
	if err != nil {
		return group.condition.withPlugin(err)
	}
	failed := map[uint32]bool{}
	failedBefore := len(c.rowErrs)
	for _, f := range rowErrs {
		failed[f.RowIndex] = true
		f.Stage = uint32(group.first)
		c.rowErrs = append(c.rowErrs, f)
	}
	matched := &c.matched
	matched.Registry = b.Registry
	matched.Topics = b.Topics
	matched.Data = b.Data
	matched.Retained = b.Retained
	matched.Rows = matched.Rows[:0]
	c.unmatched = c.unmatched[:0]
	c.rowIndexes = c.rowIndexes[:0]
	for i, row := range b.Rows {
		c.rowIndexes = append(c.rowIndexes, row.RowIndex)
		row.RowIndex = uint32(i) // unique, unlike the index of the input row
		switch {
		case len(rowErrs) > 0 && failed[uint32(i)]: // in c.rowErrs
		case matches[i] != group.negate:
			matched.Rows = append(matched.Rows, row)
		default:
			c.unmatched = append(c.unmatched, row)
		}
	}
	if len(matched.Rows) > 0 {
		if err := c.applyGroup(ctx, group, matched); err != nil {
			return err
		}
	}
	b.Topics = matched.Topics
	b.Data = matched.Data
	b.Retained = matched.Retained
	b.Rows = merge(b.Rows[:0], matched.Rows, c.unmatched)
	for i := range b.Rows {
		b.Rows[i].RowIndex = c.rowIndexes[b.Rows[i].RowIndex]
	}
	for i := range c.rowErrs[failedBefore:] {
		f := &c.rowErrs[failedBefore+i]
		f.RowIndex = c.rowIndexes[f.RowIndex]
	}
	return nil
}

// testRows tests the predicate on each row. Errors have positions in b. A row that traps the predicate fails alone.
func (c *Chain) testRows(ctx context.Context, group *group,
	b *record.Batch) (matches []bool, rowErrs []wit.RowError, err error) {
	matches, rowErrs, err = group.condition.test(ctx, b)
	for group.condition.retry(ctx, err) {
		matches, rowErrs, err = group.condition.test(ctx, b)
	}
	trap, ok := errors.AsType[*plugin.Trap](err)
	switch {
	case !ok || ctx.Err() != nil:
		return matches, rowErrs, err
	case len(b.Rows) == 1:
		return []bool{false}, []wit.RowError{c.trapError(group, 0, trap)}, nil
	}
	rows := b.Rows
	middle := len(b.Rows) / 2
	defer func() { b.Rows = rows }()
	b.Rows = rows[:middle]
	if matches, rowErrs, err = c.testRows(ctx, group, b); err != nil {
		return nil, nil, err
	}
	b.Rows = rows[middle:]
	moreMatches, moreErrs, err := c.testRows(ctx, group, b)
	for i := range moreErrs {
		moreErrs[i].RowIndex += uint32(middle)
	}
	return append(matches, moreMatches...), append(rowErrs, moreErrs...), err
}

// merge merges two disjoint lists that are sorted by row index.
func merge(dst, a, b []wit.Row) []wit.Row {
	for len(a) > 0 && len(b) > 0 {
		if a[0].RowIndex < b[0].RowIndex {
			dst = append(dst, a[0])
			a = a[1:]
		} else {
			dst = append(dst, b[0])
			b = b[1:]
		}
	}
	return append(append(dst, a...), b...)
}

// bisect applies a group to the halves of a batch that traps its plugin, on other instances, until the rows that trap
// it are alone. Only these fail, so that they do not stop the connector for ever (RATIONALE.md P32).
func (c *Chain) bisect(ctx context.Context, group *group, b *record.Batch, trap *plugin.Trap) error {
	if len(b.Rows) == 1 {
		c.rowErrs = append(c.rowErrs, c.trapError(group, b.Rows[0].RowIndex, trap))
		b.Rows = b.Rows[:0]
		return nil
	}
	rows := slices.Clone(b.Rows)
	var out []wit.Row
	for _, half := range [][]wit.Row{rows[:len(rows)/2], rows[len(rows)/2:]} {
		b.Rows = append(b.Rows[:0], half...)
		if err := c.applyGroup(ctx, group, b); err != nil {
			return err
		}
		out = append(out, b.Rows...)
	}
	b.Rows = append(b.Rows[:0], out...)
	return nil
}

func (c *Chain) trapError(g *group, origin uint32, trap *plugin.Trap) wit.RowError {
	c.logger.Warn("a row trapped a plugin", "transforms", g.aliases, "error", trap)
	return wit.RowError{RowIndex: origin, Stage: uint32(g.first), ErrorClass: trapClass,
		Error: wit.Error{Kind: wit.ErrorInternal, Message: trap.Error()}}
}

const trapClass = "org.apache.kafka.connect.errors.ConnectException"
