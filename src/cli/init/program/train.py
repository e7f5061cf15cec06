"""Trains a small network to tell two classes of points apart. It needs Python alone, and knows nothing of `runner`."""

import argparse
import csv
import json
import math
import os
import random


def read(path):
    """The points of a CSV file with the columns x, y and label."""
    with open(path, newline="") as file:
        return [((float(row["x"]), float(row["y"])), int(row["label"])) for row in csv.DictReader(file)]


class Network:
    """One hidden layer of tanh units and a logistic output."""

    def __init__(self, hidden, draw):
        self.inner = [[draw.gauss(0, 1) for _ in range(3)] for _ in range(hidden)]
        self.outer = [draw.gauss(0, 1 / math.sqrt(hidden)) for _ in range(hidden + 1)]

    def answer(self, point):
        """The hidden units' values, and the probability of class 1."""
        units = [math.tanh(a * point[0] + b * point[1] + c) for a, b, c in self.inner]
        score = self.outer[-1] + sum(weight * unit for weight, unit in zip(self.outer, units))
        return units, 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))

    def learn(self, point, label, rate):
        """One step down the gradient of the cross-entropy."""
        units, probability = self.answer(point)
        error = probability - label
        for i, unit in enumerate(units):
            back = error * self.outer[i] * (1 - unit * unit)
            self.outer[i] -= rate * error * unit
            for j, value in enumerate((point[0], point[1], 1.0)):
                self.inner[i][j] -= rate * back * value
        self.outer[-1] -= rate * error


def evaluate(network, points):
    """Mean cross-entropy, and the probability of class 1 for each point."""
    probabilities = [network.answer(point)[1] for point, _ in points]
    losses = [-math.log(max(p if label else 1 - p, 1e-12)) for p, (_, label) in zip(probabilities, points)]
    return sum(losses) / len(losses), probabilities


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="points.csv")
    parser.add_argument("--hidden", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out")
    args = parser.parse_args()

    draw = random.Random(args.seed)
    points = read(args.data)
    test, train = points[:150], points[150:]
    network = Network(args.hidden, draw)
    os.makedirs(args.out, exist_ok=True)
    with open(f"{args.out}/history.csv", "w", newline="") as file:
        history = csv.writer(file)
        history.writerow(["epoch", "train_loss", "test_loss"])
        for epoch in range(1, args.epochs + 1):
            draw.shuffle(train)
            for point, label in train:
                network.learn(point, label, args.lr)
            losses = evaluate(network, train)[0], evaluate(network, test)[0]
            history.writerow([epoch, *losses])
            print(f"epoch {epoch}: train {losses[0]:.3f}, test {losses[1]:.3f}")

    loss, probabilities = evaluate(network, test)
    right = [int((p > 0.5) == (label == 1)) for p, (_, label) in zip(probabilities, test)]
    with open(f"{args.out}/predictions.jsonl", "w") as file:
        for i, (p, (point, label)) in enumerate(zip(probabilities, test)):
            row = {"id": i, "point": point, "label": label, "probability": p, "accuracy": right[i]}
            file.write(json.dumps(row) + "\n")
    with open(f"{args.out}/scores.json", "w") as file:
        json.dump({"accuracy": sum(right) / len(right), "loss": loss}, file)


if __name__ == "__main__":
    main()
