package ecrtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Policy is an identity-based IAM policy with Effect, Action and Resource only.
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type Policy struct {
	statements []statement
}

type statement struct {
	deny      bool
	actions   []string // in lower case: IAM ignores the case of actions
	resources []string
}

// policyDocument and policyStatement are the supported part of the JSON form. Any other key
// is an error: ignoring a Condition would grant more than IAM does.
type policyDocument struct {
	Version   string
	ID        string          `json:"Id"`
	Statement json.RawMessage // one, or a list
}

type policyStatement struct {
	SID      string `json:"Sid"`
	Effect   string
	Action   oneOrMore
	Resource oneOrMore
}

// oneOrMore is a string or a list of strings.
type oneOrMore []string

func (l *oneOrMore) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = oneOrMore{one}
		return nil
	}
	var more []string
	if err := json.Unmarshal(b, &more); err != nil {
		return errors.New("want a string or a list of strings")
	}
	*l = more
	return nil
}

// ParsePolicy reads a policy document. Condition, NotAction, NotResource, Principal and
// policy variables are not supported and are errors.
func ParsePolicy(document []byte) (*Policy, error) {
	var doc policyDocument
	if err := decodeStrictly(document, &doc); err != nil {
		return nil, fmt.Errorf("parse IAM policy: %w", err)
	}
	switch doc.Version {
	case "", "2008-10-17", "2012-10-17":
	default:
		return nil, fmt.Errorf("parse IAM policy: unknown version %q", doc.Version)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(doc.Statement, &raw); err != nil {
		raw = []json.RawMessage{doc.Statement}
	}
	if len(doc.Statement) == 0 || len(raw) == 0 {
		return nil, errors.New("parse IAM policy: no statement")
	}
	p := &Policy{statements: make([]statement, 0, len(raw))}
	for i, text := range raw {
		st, err := parseStatement(text)
		if err != nil {
			return nil, fmt.Errorf("parse IAM policy: statement %d: %w", i+1, err)
		}
		p.statements = append(p.statements, st)
	}
	return p, nil
}

func parseStatement(text []byte) (statement, error) {
	var in policyStatement
	if err := decodeStrictly(text, &in); err != nil {
		return statement{}, err
	}
	var out statement
	switch in.Effect {
	case "Allow":
	case "Deny":
		out.deny = true
	default:
		return statement{}, fmt.Errorf("effect %q: want Allow or Deny", in.Effect)
	}
	if len(in.Action) == 0 || len(in.Resource) == 0 {
		return statement{}, errors.New("want an Action and a Resource")
	}
	for _, action := range in.Action {
		if action != "*" && !strings.Contains(action, ":") {
			return statement{}, fmt.Errorf("action %q: want service:operation or *", action)
		}
		out.actions = append(out.actions, strings.ToLower(action))
	}
	for _, resource := range in.Resource {
		if strings.Contains(resource, "${") {
			return statement{}, fmt.Errorf("resource %q: policy variables are not supported", resource)
		}
		if resource != "*" && strings.Count(resource, ":") < 5 {
			return statement{}, fmt.Errorf("resource %q: want an ARN or *", resource)
		}
		out.resources = append(out.resources, resource)
	}
	return out, nil
}

// decodeStrictly reads one JSON object without keys that are unknown to v.
func decodeStrictly(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the document")
	}
	return nil
}

// decision is the result of evaluating a policy.
type decision int

const (
	implicitlyDenied decision = iota // no statement allows it
	explicitlyDenied
	allowed
)

// Allows reports whether the policy permits an action such as
// "ecr:DescribeImages" on the resource of an ARN, or on "*" for an action without
// resources. Deny overrides Allow. A nil Policy permits nothing.
func (p *Policy) Allows(action, resource string) bool {
	return p.decide(action, resource) == allowed
}

func (p *Policy) decide(action, resource string) decision {
	if p == nil {
		return implicitlyDenied
	}
	action = strings.ToLower(action)
	result := implicitlyDenied
	for i := range p.statements {
		st := &p.statements[i]
		if !anyMatch(st.actions, action) || !anyMatch(st.resources, resource) {
			continue
		}
		if st.deny {
			return explicitlyDenied
		}
		result = allowed
	}
	return result
}

func anyMatch(patterns []string, s string) bool {
	for _, pattern := range patterns {
		if wildcardMatch(pattern, s) {
			return true
		}
	}
	return false
}

// wildcardMatch reports whether s matches a pattern in which * is any number of characters
// and ? is one. In IAM they do not match colons in ARNs, which makes no difference for ARNs
// of ECR. On a mismatch it backtracks to the last * only, which is sufficient and bounds
// the time by len(pattern)×len(s).
func wildcardMatch(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
