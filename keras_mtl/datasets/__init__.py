"""Data sets with several named labels."""

from keras_mtl.datasets.celeb_a import CelebA
from keras_mtl.datasets.celeb_a import celeb_a_stand_in
from keras_mtl.datasets.celeb_a import load_celeb_a
from keras_mtl.datasets.census_income import CensusIncome
from keras_mtl.datasets.census_income import load_census_income
from keras_mtl.datasets.conll2003 import Conll2003
from keras_mtl.datasets.conll2003 import load_conll2003
from keras_mtl.datasets.movielens import MovieLens
from keras_mtl.datasets.movielens import load_movielens
from keras_mtl.datasets.movielens import movielens_stand_in
from keras_mtl.datasets.multi_mnist import multi_mnist
from keras_mtl.datasets.synthetic import synthetic_sine
from keras_mtl.datasets.text_tasks import TextTasks
from keras_mtl.datasets.text_tasks import load_clinc
from keras_mtl.datasets.text_tasks import load_trec

__all__ = [
    "CelebA",
    "CensusIncome",
    "Conll2003",
    "MovieLens",
    "TextTasks",
    "celeb_a_stand_in",
    "load_celeb_a",
    "load_census_income",
    "load_clinc",
    "load_conll2003",
    "load_movielens",
    "load_trec",
    "movielens_stand_in",
    "multi_mnist",
    "synthetic_sine",
]
