package registered

import (
	"context"

	"github.com/culvert-project/culvert/internal/convert/conversion"
	"github.com/culvert-project/culvert/internal/convert/fault"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
)

// Readings are what a converter with a schema registry has made of the schemas that values came with, so that each is
// asked for and compiled once.
type Readings[R compiled] struct {
	Kept conversion.Cache[readingKey, reading[R]]
	asks *Schemas
	// compile makes what reads the values of a schema, the last of several; read reads one.
	compile func(ctx context.Context, topic string, texts []registry.Text) (R, error)
	read    func(by R, ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error)
	last    found[R]
}

// found is what was found last, of a key, where there is such: values of a topic mostly have one schema.
type found[R compiled] struct {
	reading[R]
	key  readingKey
	some bool
}

// compiled is what reads the values of one schema.
type compiled interface {
	// From is the schema that values are read into, nil: there is none.
	From() *record.Schema
}

// reading is what reads the values of one schema, or why it cannot be read.
type reading[R compiled] struct {
	by  R
	err error
}

// readingKey: the version that a schema gets depends on the topic's subject.
type readingKey struct {
	topic string
	id    schemaID
}

// NewReadings keeps so many readings of schemas that are asked for by asks.
func NewReadings[R compiled](kept int, asks *Schemas,
	compile func(context.Context, string, []registry.Text) (R, error),
	read func(R, context.Context, string, []byte, *record.Batch) (wit.ValueSlice, error)) Readings[R] {
	return Readings[R]{Kept: conversion.NewCache[readingKey, reading[R]](kept), asks: asks, compile: compile,
		read: read}
}

// Decode implements [Converter].
func (k *Readings[R]) Decode(ctx context.Context, topic string, data []byte, b *record.Batch) (wit.ValueSlice, error) {
	if data == nil {
		return wit.ValueSlice{}, nil
	}
	id, err := idOf(data)
	if err != nil {
		return wit.ValueSlice{}, err
	}
	return k.decode(ctx, topic, id, data[IDBytes:], b)
}

// DecodeBy implements convert.HeaderDecoder.
func (k *Readings[R]) DecodeBy(ctx context.Context, topic string, header, data []byte, b *record.Batch) (wit.ValueSlice,
	error) {
	id, err := idIn(header)
	if err != nil || data == nil {
		return wit.ValueSlice{}, err
	}
	return k.decode(ctx, topic, id, data, b)
}

func (k *Readings[R]) decode(ctx context.Context, topic string, id schemaID, data []byte,
	b *record.Batch) (wit.ValueSlice,
	error) {
	r, known := k.find(topic, id)
	if !known {
		var err error
		if r, err = k.add(ctx, topic, id); err != nil {
			return wit.ValueSlice{}, err
		}
	}
	if r.err != nil {
		return wit.ValueSlice{}, r.err
	}
	start := len(b.Data)
	d, err := k.read(r.by, ctx, topic, data, b)
	if err != nil {
		b.Data = b.Data[:start]
		return wit.ValueSlice{}, err
	}
	return d, nil
}

// find is what is kept for an id of a topic.
func (k *Readings[R]) find(topic string, id schemaID) (r reading[R], known bool) {
	key := readingKey{topic, id}
	if k.last.some && key == k.last.key {
		return k.last.reading, true
	}
	if r, known = k.Kept.Of[key]; known {
		k.last = found[R]{r, key, true}
	}
	return r, known
}

// add gets the schemas of an id and has them compiled. A schema that cannot be read is kept like others; what ends the
// task, or may pass, is not.
func (k *Readings[R]) add(ctx context.Context, topic string, id schemaID) (reading[R], error) {
	texts, wrong, err := k.asks.written(ctx, id)
	if err != nil {
		return reading[R]{}, err
	}
	r := reading[R]{err: wrong}
	if wrong == nil {
		r.by, r.err = k.compile(ctx, topic, texts)
	}
	if ctx.Err() != nil {
		return reading[R]{}, context.Cause(ctx)
	}
	if fault.Stops(r.err) {
		return reading[R]{}, r.err
	}
	size := 1000
	if r.err == nil && r.by.From() != nil {
		size += conversion.CompiledBytes(r.by.From())
	}
	k.Kept.Put(readingKey{topic, id}, r, size)
	return r, nil
}
