package sink

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/run/task"
	"github.com/culvert-project/culvert/wit"
)

// pluginContext is a context of an opened version. It never changes. Only ordering keys of one context can be compared,
// because a plugin may hash differently after it has learned something or was opened again.
type pluginContext struct {
	opened *openedVersion
	data   []byte // the context as the plugin returned it
}

// isOlder reports whether the plugin has learned something since the context, or was opened again. The loss of
// [wit.ContextFresh] is nothing new. It is true for nil.
func (p *pluginContext) isOlder(current *pluginContext) bool {
	freshLine := []byte(wit.ContextFresh)
	return p != current && (p == nil || p.opened != current.opened ||
		!bytes.Equal(bytes.TrimPrefix(p.data, freshLine), bytes.TrimPrefix(current.data, freshLine)))
}

const contextFreshFor = time.Minute // the age at which a context loses [wit.ContextFresh]

func (o *openedVersion) currentContext() *pluginContext {
	o.mu.Lock()
	defer o.mu.Unlock()
	if data, ok := bytes.CutPrefix(o.context.data, []byte(wit.ContextFresh)); ok && time.Now().After(o.freshUntil) {
		o.context = &pluginContext{o, data}
	}
	return o.context
}

// updateContext stores the context of a handle-response call, until the plugin is opened again.
func (o *openedVersion) updateContext(context []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !bytes.Equal(o.context.data, context) {
		o.context = &pluginContext{o, context}
	}
}

// keyContext returns a context with which the rows get the ordering keys of the deliveries, the one that has encoded
// them if possible. Nil means that the keys cannot be compared with those of other batches.
func (a *activeBatch) keyContext() *pluginContext { return cmp.Or(a.encodedWith, a.sameKeysWith) }

// hasKeysOf reports whether the rows get the ordering keys of the deliveries with a context, false for nil.
func (a *activeBatch) hasKeysOf(context *pluginContext) bool {
	return context != nil && (context == a.encodedWith || context == a.sameKeysWith)
}

// setContexts sets encodedWith and sameKeysWith of an encoded batch. If another context than the queue's has encoded
// it, it has the queue's lanes only if both contexts give each row the same ordering key: a plugin that has learned
// something may hash differently. With equal keys, the batch need not wait for an empty queue.
func (a *activeBatch) setContexts(deliveries []delivery, queueContext *pluginContext) {
	encodedWith := a.task.plugin.Opened().currentContext()
	lanes := slices.DeleteFunc(slices.Clone(deliveries), func(d delivery) bool { return d.uncheckable != nil })
	if len(lanes) > 0 {
		encodedWith = lanes[0].context
	}
	if slices.ContainsFunc(lanes, func(d delivery) bool { return d.context != encodedWith }) {
		encodedWith = nil
	}
	a.encodedWith = encodedWith
	a.sameKeysWith = nil
	if queueContext != nil && queueContext != encodedWith && a.encodesSameKeys(queueContext, lanes) {
		a.sameKeysWith = queueContext
	}
}

// encodesSameKeys encodes the rows of deliveries with a context and reports whether their ordering keys are equal.
func (a *activeBatch) encodesSameKeys(context *pluginContext, deliveries []delivery) bool {
	var rows []uint32
	var keys []uint32
	var hints []wit.Hint
	for i := range deliveries {
		for _, row := range deliveries[i].rows {
			if a.rowStates[row].inDoubt != nil {
				hints = append(hints, wit.Hint{Row: uint32(len(rows)), Text: a.rowStates[row].hint})
			}
			rows = append(rows, row)
			keys = append(keys, deliveries[i].OrderingKey)
		}
	}
	if len(rows) == 0 {
		return true // plugins are never called to encode nothing
	}
	part, recordIDs := a.subset(rows)
	var encoded wit.EncodeResult
	a.task.count.encode.Start()
	defer a.task.count.encode.Stop()
	err := task.Do(a.task.run.requestCtx, context.opened.code, func(p Writer) (err error) {
		encoded, err = p.Encode(a.task.run.requestCtx, context.data, part, recordIDs, hints)
		return err
	})
	if err != nil {
		return false
	}
	equal := 0
	for i := range encoded.Ready {
		for _, row := range encoded.Ready[i].Rows {
			if encoded.Ready[i].OrderingKey == keys[row] {
				equal++
			}
		}
	}
	return equal == len(rows)
}
