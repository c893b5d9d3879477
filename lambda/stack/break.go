//go:build unix

package main

import (
	"context"
	"errors"
)

func (s *session) breakIt(context.Context) (string, error) { return "", errors.New("not yet") }
