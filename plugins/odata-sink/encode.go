package main

import (
	"errors"
	"hash/fnv"
	"strconv"

	"github.com/culvert-project/culvert/plugins/odata/pack"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// errorClass is the class under which refused rows stand in headers of dead letters.
const errorClass = "org.apache.kafka.connect.errors.DataException"

// hintConfirm asks for a read of an entity whose DELETE was answered 412: is it gone?
const hintConfirm = "confirm"

// operation is what a delivery does.
type operation int

const (
	insert operation = iota
	remove
	confirm
)

// Encode makes a request of each row: POST for values, DELETE for tombstones.
func (p *plugin) Encode(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row, data []byte, _ []wit.RecordID, _ []string,
	hints []wit.Hint) (wit.Deliveries, error) {
	p.learn(schemas)
	o, err := p.context(context)
	if err != nil {
		return wit.Deliveries{}, err
	}
	var out wit.Deliveries
	for i := range rows {
		at := uint32(i)
		hint := ""
		for _, h := range hints {
			if h.Row == at {
				hint = h.Text
			}
		}
		var topic string
		if int(rows[i].Topic) < len(topics) {
			topic = topics[rows[i].Topic]
		}
		d, err := p.delivery(o, o.target(topic), topic, &rows[i], data, hint)
		switch {
		case err != nil:
			out.Refused = append(out.Refused, wit.RowFault{Origin: at, ErrorClass: errorClass, Fault: *asFault(err)})
		case d == nil:
			out.Ignored = append(out.Ignored, at)
		default:
			d.Rows = []uint32{at}
			out.Ready = append(out.Ready, *d)
		}
	}
	return out, nil
}

func asFault(err error) *wit.Fault {
	var f *wit.Fault
	if errors.As(err, &f) {
		return f
	}
	return &wit.Fault{Kind: wit.FaultData, Message: err.Error()}
}

// delivery is the request for a row; nil: it is ignored.
func (p *plugin) delivery(o *opened, t *target, topic string, row *wit.Row, data []byte, hint string) (*wit.Delivery, error) {
	if t == nil {
		return nil, &wit.Fault{Kind: wit.FaultConfig, Message: "no entity set is configured for topic " + topic}
	}
	key, hasKey, err := p.read(row.Key, data)
	if err != nil {
		return nil, err
	}
	content, hasValue, err := p.read(row.Value, data)
	if err != nil {
		return nil, err
	}
	content, key = p.resolve(content), p.resolve(key)
	if !hasValue {
		if !o.deletes {
			return nil, nil
		}
		return p.deletion(t, key, hasKey, hint)
	}
	body, err := p.body(nil, t.entity, content)
	if err != nil {
		return nil, err
	}
	predicate, missing := p.predicate(t, content)
	if missing != nil && hasKey {
		predicate, missing = p.predicate(t, key)
	}
	lane := laneOf(t, predicate)
	if missing != nil {
		// A key of its own making: the record's bytes, or its place where there are none.
		lane = laneOf(t, string(data[row.Key.Start:row.Key.Start+row.Key.Size]))
		if !hasKey {
			lane = laneOf(t, strconv.FormatInt(row.Offset, 10))
		}
	}
	if hint == wit.HintUncertain {
		return nil, &wit.Fault{Kind: wit.FaultUnsupported, Message: "whether an entity was inserted is not looked up yet"}
	}
	request := wit.Request{Method: "POST", Target: t.post, Body: body, TokenFrom: &t.root, Headers: []wit.Header{
		{Name: "Accept", Value: "application/json"}, {Name: "Content-Type", Value: "application/json"},
		{Name: "DataServiceVersion", Value: "2.0"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}}
	return &wit.Delivery{Request: request, Memo: memo(insert, t.path), Lane: lane}, nil
}

// deletion deletes an entity, or reads it to see whether it is gone.
func (p *plugin) deletion(t *target, key tree, hasKey bool, hint string) (*wit.Delivery, error) {
	if !hasKey {
		return nil, refuse("a tombstone without a key says nothing about what to delete")
	}
	predicate, err := p.predicate(t, key)
	if err != nil {
		return nil, err
	}
	d := &wit.Delivery{Lane: laneOf(t, predicate), Memo: memo(remove, t.path+predicate), Request: wit.Request{Method: "DELETE", Target: t.query.On(t.path + predicate),
		Repeatable: true, TokenFrom: &t.root, Headers: []wit.Header{{Name: "Accept", Value: "application/json"}, {Name: "If-Match", Value: "*"},
			{Name: "DataServiceVersion", Value: "2.0"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}}}
	if hint == hintConfirm {
		d.Memo = memo(confirm, t.path+predicate)
		d.Request = wit.Request{Method: "GET", Target: t.query.On(t.path + predicate), Repeatable: true,
			Headers: []wit.Header{{Name: "Accept", Value: "application/json"}, {Name: "MaxDataServiceVersion", Value: "2.0"}}}
	}
	return d, nil
}

// predicate is the key predicate that a struct with all key properties comes to.
func (p *plugin) predicate(t *target, from tree) (string, error) {
	var keys []uri.Key
	for _, name := range t.entity.Key {
		member, ok := p.member(from, name)
		if !ok || member.null() {
			return "", refuse("the key needs property " + name + " of " + t.entity.QualifiedName() + ": expected a struct of all key properties")
		}
		property := t.entity.properties[name]
		if property == nil {
			return "", refuse("the key property " + name + " of " + t.entity.QualifiedName() + " isn't declared in $metadata")
		}
		c, err := value.Convert(property, member.schema(), member.value)
		if err != nil {
			return "", refuse("key property " + name + ": " + err.Error())
		}
		keys = append(keys, uri.Key{Name: name, Literal: uri.Literal{Type: c.Type, Text: c.Text}})
	}
	if len(keys) == 0 {
		return "", refuse(t.entity.QualifiedName() + " has no key")
	}
	return string(uri.AppendPredicate(nil, keys)), nil
}

// laneOf is a stable hash of an entity: rows of one key go one after another (P20).
func laneOf(t *target, key string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(t.path))
	h.Write([]byte(key))
	return h.Sum32()
}

// memo is what settle needs to know of a delivery.
func memo(op operation, target string) []byte { return pack.Text(pack.Number(nil, int(op)), target) }
