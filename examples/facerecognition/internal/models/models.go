// Package models holds three trained networks and runs them: a face detector,
// a predictor of 68 landmarks, and a face descriptor.
//
// The networks and their weights are those of the MIT-licensed JavaScript
// package @vladmandic/face-api 1.7.15 (the folder weights keeps its licence);
// this package is an independent implementation of the same layers. Weights
// are stored as TensorFlow.js does, most of them as bytes with a scale, and
// are part of the program, so that one file is all it needs. They are used in
// that form, where they lie.
//
// The functions here take pictures that are already cut, scaled and normalized
// tensors, and take the memory they work in from a workspace; package faces prepares them and reads the results. It imports nn
// and the standard library.
package models

// The mean colours that the networks were trained with.
var (
	detectorMean = [3]float32{117.001, 114.697, 97.404}
	faceMean     = [3]float32{122.782, 117.001, 104.298}
)
